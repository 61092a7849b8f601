"""What the report says, as LaTeX macros: name -> text, made from the files below `results/<name>/` and from
them alone.

Each function takes tables or JSON as read. A quantity that a configuration does not have (a model left out, a
condition never trained, a point that could not be measured) is a dash, never an absent macro, so that one
report.tex serves every configuration.
"""
