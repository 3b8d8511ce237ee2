"""Reads sweep and run directories: table, statistics, figures. Imports no torch, pandas only when called."""

from typing import TYPE_CHECKING, Any

from bnrepro.analysis.table import load_table

if TYPE_CHECKING:
    from bnrepro.analysis.notebook import draw

__all__ = ["draw", "load_table"]


def __getattr__(name: str) -> Any:
    """`draw` brings matplotlib, which takes its time, and the user's settings of it, which are put away."""
    if name != "draw":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bnrepro.analysis.clean_matplotlib import import_matplotlib

    import_matplotlib()
    from bnrepro.analysis.notebook import draw

    return draw
