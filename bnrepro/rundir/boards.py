"""Where the events for TensorBoard lie. Imports no TensorBoard."""

from __future__ import annotations

import shutil
from pathlib import Path

from bnrepro.rundir.files import storing

DIRECTORY, CELLS = "tensorboard", "cells"


def board_directory(run: Path) -> Path:
    """Where a run's events go: TensorBoard calls a run after its directory.

    A cell of a sweep has `tensorboard/<cell>` of the sweep, so that it is called `bn-b4-s0` there.
    """
    if run.parent.name == CELLS:
        return run.parent.parent / DIRECTORY / run.name
    return run / DIRECTORY


def sweep_board(sweep: Path) -> Path:
    """Where what belongs to the whole sweep goes: beside its cells."""
    return sweep / DIRECTORY / "sweep"


def clear_board(run: Path) -> None:
    """Remove a run's events; a link is left alone, and what is behind it. Raises `StorageError`."""
    board = board_directory(run)
    with storing(board):
        if board.is_dir() and not (board.is_symlink() or board.parent.is_symlink()):
            shutil.rmtree(board)
