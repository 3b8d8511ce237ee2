"""A network that an experiment trained, for looking at it with other images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.claims.found import Found
from bnrepro.config.convert import to_dataclass
from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.data import load_data
from bnrepro.data.feed import Batch, Feed, Part
from bnrepro.norms.batch_statistics import batch_statistics_layers, using_batch_statistics
from bnrepro.rundir.reading import read_yaml
from bnrepro.rundir.record import CONFIG, Record
from bnrepro.sweep.axis import Number
from bnrepro.training import checkpoint
from bnrepro.training.session import Session

MOST_BYTES = 100_000

Transform = Callable[[Tensor], Tensor]
"""Normalized images `(n, C, H, W)` to others of that shape."""


def trained(found: Found, norm: str, x: Number, seed: int) -> Session:
    """The run's network with its last weights. Raises `UsageError` where its checkpoint is gone."""
    return _trained(found.run_directory(norm, x, seed))


@lru_cache(maxsize=4)
def _trained(directory: Path) -> Session:
    config = to_dataclass(RunConfig, read_yaml(directory / CONFIG, MOST_BYTES))
    session = Session.prepare(config, load_data(config.data), torch.device("cpu"))
    loaded = checkpoint.load(session, Record(directory, config, writes=False))
    if loaded is None:
        raise UsageError(f"{directory}: has no checkpoint any more; remove the directory to train it again")
    session.restore(loaded[0])
    return session


def errors(session: Session, transform: Transform) -> dict[str, float]:
    """Statistics -> the error in percent on test images that are changed by `transform`.

    Statistics `precise` are still those of the training images as they are.
    """
    evaluator = replace(session.evaluator, test=_Changed(session.evaluator.test, transform))
    found, _ = evaluator.errors(("running", "precise", "batch"), session.config.epochs)
    return found


def around_norms(session: Session) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer -> what enters and what leaves its norm, `(n, C)`: one normalization batch of training images."""
    model, size = session.trainer.model, session.sizes.norm_batch_size
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: seen.update({name: (inputs[0].double(), output.double())})

    handles = [
        layer.register_forward_hook(keep(name)) for name, layer in batch_statistics_layers(model).items()
    ]
    x, _ = next(session.evaluator.train.train_batches(session.table(0), [slice(0, size)]))
    with torch.no_grad(), using_batch_statistics(model):
        model(x)
    for handle in handles:
        handle.remove()
    return seen


class _Changed:
    """A feed whose test images are others."""

    def __init__(self, feed: Feed, transform: Transform) -> None:
        self.feed, self.transform = feed, transform
        self.device, self.chunk_images = feed.device, feed.chunk_images

    def __len__(self) -> int:
        return len(self.feed)

    def table(self, seed: int, epoch: int, stream: str = "train") -> Any:
        return self.feed.table(seed, epoch, stream)

    def train_batches(self, table: Any, parts: Iterable[Part]) -> Iterator[Batch]:
        return self.feed.train_batches(table, parts)

    def test_batches(self, parts: Iterable[Part]) -> Iterator[Batch]:
        return ((self.transform(x), y) for x, y in self.feed.test_batches(parts))
