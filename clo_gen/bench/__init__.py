"""Benchmark cases and how they are measured; a case has a process of its own (suite.py)."""
