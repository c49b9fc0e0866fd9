"""The report of a run: one self-contained page, and a workbook of its tables."""
