"""Where a run stands, on disk. The random streams need only epoch and step of it (DESIGN: random streams)."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bnrepro.rundir.files import replace_file
from bnrepro.rundir.record import CHECKPOINT

COUNTERS = ("epoch", "step", "evaluations", "train_seconds", "evaluation_seconds")


@dataclass
class Position:
    """How far a run is, and what it has summed up on the way."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Steps done in the epoch under way."""
    evaluations: int = 0
    """Lines of metrics.jsonl that belong to this point."""
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    _losses: list[Tensor] = field(default_factory=list)
    _wrong: list[Tensor] = field(default_factory=list)

    def note(self, losses: Tensor, wrong: Tensor, step: int) -> None:
        """Add some steps: the loss of each, the misclassified images of all. They stay on the device."""
        self._losses.append(losses)
        self._wrong.append(wrong)
        self.step = step

    def losses(self, first: int = 0) -> Tensor:
        """The loss of every step of the epoch under way, from step `first` on."""
        self._losses = [torch.cat(self._losses)]
        return self._losses[0][first:]

    def wrong(self) -> int:
        """Training images of the epoch under way that were misclassified."""
        return int(torch.stack(self._wrong).sum())

    def next_epoch(self) -> None:
        """The epoch under way is over, and its evaluation too."""
        self.step = 0
        self._losses, self._wrong = [], []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain numbers and tensors."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in COUNTERS}
        if self.step:
            kept |= {"losses": self.losses(), "wrong": self.wrong()}
        return kept

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Position:
        position = cls(**{name: state[name] for name in COUNTERS})
        if position.step:
            losses = state["losses"]
            position.note(losses, torch.tensor(state["wrong"], device=losses.device), position.step)
        return position


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
