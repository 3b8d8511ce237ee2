"""Reads sweep and run directories: table, statistics, figures. Imports no torch, pandas only when called."""

from bnrepro.analysis.table import load_table

__all__ = ["load_table"]
