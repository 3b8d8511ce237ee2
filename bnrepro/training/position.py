"""How far a run is, and what it has summed up on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

COUNTERS = ("epoch", "step", "evaluations", "train_seconds", "evaluation_seconds")


@dataclass
class Position:
    """How far a run is, and what it has summed up on the way."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Finished steps of the current epoch."""
    evaluations: int = 0
    """Lines of metrics.jsonl that belong to this point."""
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    _losses: list[Tensor] = field(default_factory=list)
    _wrong: list[Tensor] = field(default_factory=list)

    def note(self, losses: Tensor, wrong: Tensor, step: int) -> None:
        """Add some steps: the loss of each, and the misclassified images of all. Both stay on the device."""
        self._losses.append(losses)
        self._wrong.append(wrong)
        self.step = step

    def losses(self) -> Tensor:
        """The loss of every step of the current epoch so far."""
        self._losses = [torch.cat(self._losses)]
        return self._losses[0]

    def wrong(self) -> int:
        """Training images of the current epoch that were misclassified."""
        return int(torch.stack(self._wrong).sum())

    def next_epoch(self) -> None:
        """The epoch and its evaluation are over: start counting again."""
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
