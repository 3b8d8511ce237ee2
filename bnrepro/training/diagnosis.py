"""`diagnose` for the network and the data that a config describes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from bnrepro.config.errors import UsageError, shortened
from bnrepro.config.schema import RunConfig
from bnrepro.data import load_data
from bnrepro.data.feed import Feed
from bnrepro.norms import NormLayers, diagnose, find_factory
from bnrepro.norms.population import LayerDiagnosis
from bnrepro.training.process.device import prepare_device
from bnrepro.training.session import build_network, initial_weights

BATCH = 256
"""Images that are shown at once: the largest normalization batch that is looked at."""


def diagnose_config(
    config: RunConfig, images: int, bound: float, checkpoint: Path | None
) -> list[LayerDiagnosis]:
    """What normalization batches of 1, 2, 4 … images do to each layer, on `images` training images.

    With `checkpoint`, a run's `checkpoint.pt` or any file of weights, it is the trained network's. Raises
    `UsageError` for a norm that sees no batch and for weights that are not this network's.
    """
    factory = find_factory(config.norm.name, config.norm.factory)
    dataset = load_data(config.data)
    device = prepare_device(config)
    with initial_weights(config.seed):
        model = build_network(config, NormLayers(factory, config.norm.options), dataset)
    if checkpoint is not None:
        load_weights(model, checkpoint)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, _ = dataset.feeds(config.data, device)
    try:
        return diagnose(model, _batches(train, config.seed, images), bound=bound)
    except UsageError as error:
        raise UsageError(f"norm={config.norm.name}: {error}; norm=bn has one") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """The weights of a run's checkpoint or of a state dict. Raises `UsageError` where they do not fit."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise whatever there is
        raise UsageError(f"--checkpoint {path}: cannot be read ({type(error).__name__}: {error})") from error
    if isinstance(state, dict):
        state = state.get("model", state.get("state_dict", state))
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--checkpoint {path}: is not of this network ({shortened(str(error), 150)})"
        ) from error


def _batches(feed: Feed, seed: int, images: int) -> Iterator[Tensor]:
    """The first images of an epoch, in its order and augmented as in training."""
    images = min(images, len(feed))
    size = min(BATCH, images)
    parts = (slice(start, start + size) for start in range(0, images - size + 1, size))
    for x, _ in feed.train_batches(feed.table(seed, 0, "precise"), parts):
        yield x
