"""A network that an experiment trained, for looking at it with other images."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
from bnrepro.norms.batch_statistics import (
    batch_statistics_layers,
    replaced_buffers,
    using_batch_statistics,
)
from bnrepro.rundir.reading import read_yaml
from bnrepro.rundir.record import CONFIG, Record
from bnrepro.sweep.axis import Number
from bnrepro.training import checkpoint
from bnrepro.training.session import Session

MOST_BYTES = 100_000
WEIGHT_SEED = 0

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


def errors_after_blank_steps(session: Session, statistics: str, blank: Sequence[int]) -> list[float]:
    """The error in percent of an LSTM with so many steps of zeros in front of every test image's.

    Statistics `precise` are those of the training images without blank steps; a step's stay at its place in
    the sequence.
    """
    model, evaluator, epoch = session.trainer.model, session.evaluator, session.config.epochs
    precise = statistics == "precise"
    found = []
    with replaced_buffers(model, evaluator.moments(epoch).population_buffers(model) if precise else {}):
        used = "running" if precise else statistics
        for steps in blank:
            model.blank_steps = steps  # type: ignore[assignment]
            found.append(evaluator.errors((used,), epoch)[0][used])
    model.blank_steps = 0  # type: ignore[assignment]
    return found


@contextmanager
def scaled_channels(session: Session, octaves: float) -> Iterator[None]:
    """Multiply every hidden unit's incoming weights and bias by a factor of its own, up to 2^±octaves."""
    generator = torch.Generator().manual_seed(WEIGHT_SEED)
    layers = [layer for layer in session.trainer.model.modules() if isinstance(layer, nn.Linear)][:-1]
    kept = [{key: value.clone() for key, value in layer.state_dict().items()} for layer in layers]
    try:
        with torch.no_grad():
            for layer in layers:
                exponents = 2 * torch.rand(layer.out_features, generator=generator) - 1
                for value in layer.parameters():
                    value.mul_((2 ** (octaves * exponents)).unflatten(0, (-1, *[1] * (value.dim() - 1))))
        yield
    finally:
        for layer, state in zip(layers, kept, strict=True):
            layer.load_state_dict(state)


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


def noise_of_means(session: Session, sizes: Sequence[int]) -> dict[int, float]:
    """n -> how much means over n training images scatter, in units of the population's σ.

    The median over the layers of the root mean square over their channels. The network normalizes with its
    running statistics: a batch's own would tie its images to each other.
    """
    scatters: dict[int, list[float]] = {n: [] for n in sizes}
    for values in _entering_norms(session).values():
        sd, means = values.std((0, 2)), values.mean(2)
        for n in sizes:
            groups = means[: len(means) // n * n].unflatten(0, (-1, n)).mean(1)
            scatters[n].append((groups.std(0) / sd).nan_to_num().square().mean().sqrt().item())
    return {n: statistics.median(found) for n, found in scatters.items()}


def _entering_norms(session: Session) -> dict[str, Tensor]:
    """Layer -> what enters its norm, `(images, C, pixels)`: the training images in the order of epoch 0."""
    model, size = session.trainer.model.eval(), session.evaluator.train.chunk_images
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, inputs: seen.setdefault(name, []).append(inputs[0].flatten(2).double())

    layers = batch_statistics_layers(model).items()
    handles = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers]
    images = len(session.evaluator.train)
    parts = [slice(first, min(first + size, images)) for first in range(0, images, size)]
    with torch.no_grad():
        for x, _ in session.evaluator.train.train_batches(session.table(0), parts):
            model(x)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(values) for name, values in seen.items()}


class _Changed:
    """A feed whose test images are others."""

    def __init__(self, feed: Feed, transform: Transform) -> None:
        self.feed, self.transform = feed, transform
        self.device, self.chunk_images, self.image_values = feed.device, feed.chunk_images, feed.image_values

    def __len__(self) -> int:
        return len(self.feed)

    def table(self, seed: int, epoch: int, stream: str = "train") -> Any:
        return self.feed.table(seed, epoch, stream)

    def train_batches(self, table: Any, parts: Iterable[Part]) -> Iterator[Batch]:
        return self.feed.train_batches(table, parts)

    def test_batches(self, parts: Iterable[Part]) -> Iterator[Batch]:
        return ((self.transform(x), y) for x, y in self.feed.test_batches(parts))
