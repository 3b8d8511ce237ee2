"""Matplotlib without the user's settings, which can neither change a figure nor prevent it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BACKEND = "MPLBACKEND"


def import_matplotlib() -> None:
    """Import it, whatever MPLBACKEND and the matplotlibrc that it finds say. Call it before any other import.

    A name of a backend that does not exist, and a matplotlibrc that is not UTF-8, are errors of the import
    itself. The backend that was asked for is given back: in a notebook it shows the user's own figures.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop(BACKEND, None)
    try:
        try:
            import matplotlib
        except (OSError, ValueError, SyntaxError):
            # what was imported already refers to a package that did not come to be
            for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
                del sys.modules[name]
            with _away_from_settings():
                import matplotlib
        if backend:
            with suppress(ValueError):
                matplotlib.rcParams["backend"] = backend
    finally:
        if backend is not None:
            os.environ[BACKEND] = backend


@contextmanager
def _away_from_settings() -> Iterator[None]:
    """In the folder of matplotlib's own matplotlibrc, which is what it then finds first."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    before = Path.cwd()
    os.chdir(Path(spec.origin).parent / "mpl-data")
    try:
        yield
    finally:
        os.chdir(before)
