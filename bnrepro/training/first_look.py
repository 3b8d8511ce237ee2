"""What a run looks at before it trains a network or a norm from outside of the package."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.config.errors import UsageError
from bnrepro.data.feed import Feed
from bnrepro.norms import Traits
from bnrepro.norms.batch_statistics import batch_statistics_layers

LEAST_IMAGES = 4
TOLERANCE = 1e-4
"""Of an output, relative to the largest: kernels round otherwise for other neighbours in the batch."""


def some_images(feed: Feed, number: int) -> Tensor:
    """`number` images `(number, C, H, W)`; from the start again where there are fewer."""
    (x, _), *_ = feed.test_batches([slice(0, min(number, len(feed)))])
    return x[torch.arange(number, device=x.device) % len(x)]


def check_output(model: nn.Module, x: Tensor, classes: int) -> None:
    """Raises `UsageError` where the network gives something else than logits `(N, classes)` for `x`."""
    output, _ = _forward(copy.deepcopy(model).eval(), x)
    if not isinstance(output, Tensor):
        kind = "a dictionary" if isinstance(output, Mapping) else f"a {type(output).__name__}"
        raise UsageError(
            f"the network returns {kind}; it must return the logits alone, a tensor (images, {classes})"
        )
    if output.shape != (len(x), classes):
        raise UsageError(
            f"the network returns {tuple(output.shape)} for {len(x)} images; it must return "
            f"({len(x)}, {classes}): a logit per class"
        )


def check_traits(model: nn.Module, traits: Traits, x: Tensor, norm: str) -> None:
    """Does the norm say truly whether it sees the batch? `x`: two images or more.

    One that says that it sees none must leave image 0's output in training as it is, whatever the others are.
    Raises `UsageError`.
    """
    layers = batch_statistics_layers(model)
    if traits.batch_statistics:
        if not layers:
            raise UsageError(
                f"norm={norm}: says that it uses statistics over images, but no layer of the network is a "
                "bnrepro.norms.batch_statistics.BatchStatistics"
            )
        return
    before, after = (
        _forward(copy.deepcopy(model).train(), images)[0][0] for images in (x, _others_replaced(x))
    )
    if layers or (before - after).abs().max() > TOLERANCE * before.abs().max():
        raise UsageError(
            f"norm={norm}: says that it sees one image at a time, but in training an image's output depends "
            "on the others; say @bnrepro.norms.traits(batch_statistics=True), and derive the layer from "
            "bnrepro.norms.batch_statistics.BatchStatistics"
        )


def check_buffers(model: nn.Module, x: Tensor) -> None:
    """Raises `UsageError` where training changes a buffer that does not say what it is (`BatchStatistics`).

    Neither several processes nor parts of a batch can be brought together then.
    """
    looked = copy.deepcopy(model).train()
    known = {
        f"{name}.{key}"
        for name, layer in batch_statistics_layers(looked).items()
        for key in (*layer.averages, *layer.windows, *layer.counters)
    }
    before = {name: value.clone() for name, value in looked.named_buffers()}
    _forward(looked, x)
    for name, value in looked.named_buffers():
        if name not in known and not torch.equal(value, before[name]):
            raise UsageError(
                f"the network's buffer {name} changes in training and does not say what it is: with "
                "micro_batch_size or several processes something else would be trained; name it in its "
                "layer's averages, windows or counters (bnrepro.norms.batch_statistics.BatchStatistics)"
            )


def draws_random_numbers(model: nn.Module, x: Tensor) -> bool:
    """Does a forward pass in training draw, as dropout does?"""
    return _forward(copy.deepcopy(model).train(), x)[1]


@torch.no_grad()
def _forward(model: nn.Module, x: Tensor) -> tuple[Any, bool]:
    """The output, and whether random numbers were drawn: the same in every call, and from nobody's stream."""
    on_gpu = x.device.type == "cuda"
    with torch.random.fork_rng([x.device.index or 0] if on_gpu else []):
        torch.manual_seed(0)
        before = _generator_state(x)
        output = model(x)
        return output, not torch.equal(before, _generator_state(x))


def _others_replaced(x: Tensor) -> Tensor:
    others = x.clone()
    others[1:] = 2 * x[1:].flip(-1) + 1
    return others


def _generator_state(x: Tensor) -> Tensor:
    return torch.cuda.get_rng_state(x.device) if x.device.type == "cuda" else torch.get_rng_state()
