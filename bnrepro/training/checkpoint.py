"""Where a run stands, on disk. The random streams need only epoch and step of it (DESIGN: random streams)."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bnrepro.rundir.files import replace_file
from bnrepro.rundir.record import CHECKPOINT


def save(directory: Path, state: dict[str, Any]) -> None:
    """Write `checkpoint.pt` atomically."""
    replace_file(directory / CHECKPOINT, lambda path: torch.save(_own(state), path))


def _own(value: Any) -> Any:
    """The same with a copy of every tensor that is part of a larger one, all of which would be written."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, Tensor) and value.untyped_storage().nbytes() > value.nbytes:
        return value.clone()
    return value


def load(directory: Path, device: torch.device) -> dict[str, Any] | None:
    """What `save` wrote, or None; also where a crash of the machine left a file that cannot be read."""
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        warnings.warn(f"{path}: cannot be read ({error}); the run starts again", stacklevel=2)
        return None
