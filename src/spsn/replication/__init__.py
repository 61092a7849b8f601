"""From run records to the reader: statistics, claims, figures, tables, report."""
