"""How long things take: the paper's baselines written plainly, measurement that can be believed, the two
studies.
"""
