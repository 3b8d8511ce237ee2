"""Where a run stands, on disk. The random streams need only epoch and step of it (DESIGN: random streams)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bnrepro.training.files import replace_file
from bnrepro.training.record import CHECKPOINT


@dataclass
class Position:
    """How far a run is, and what it has summed up on the way."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Steps done in the epoch under way."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of every step of the epoch under way."""
    wrong: int = 0
    """Training images of the epoch under way that were misclassified."""
    evaluations: int = 0
    """Lines of metrics.jsonl that belong to this point."""
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0


def save(directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Write `checkpoint.pt` atomically."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "position": asdict(position),
    }
    replace_file(directory / CHECKPOINT, lambda path: torch.save(state, path))


def load(directory: Path, device: torch.device) -> dict[str, Any] | None:
    """What `save` wrote, or None."""
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    return torch.load(path, map_location=device, weights_only=True)


def restore(state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> Position:
    """Put a loaded state into model and optimizer."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Position(**state["position"])
