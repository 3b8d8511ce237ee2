"""Saving memory must not change what is trained: same statistics, same gradients, same running buffers."""

from contextlib import contextmanager

import pytest
import torch

from bnrepro.models import build_model
from bnrepro.norms import NORMS, NormLayers, find_factory
from bnrepro.training.step.accumulation import Accumulation, part_size
from bnrepro.training.step.plain import whole_batch
from bnrepro.training.task import CLASSES

IMAGES, GROUP = 16, 4


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(IMAGES, 3, 8, 8, generator=draw, dtype=torch.float64)
    return x, torch.arange(IMAGES) % 10


def gradients(model, forward, micro: int | None):
    return whole_batch(forward, CLASSES) if micro is None else Accumulation(model, forward, CLASSES, micro)


SHORT = {"mabn": {"window": 6, "warmup_steps": 1}}
"""Options with which a few steps reach every part of a norm."""


def trained(norm: str, micro: int | None) -> torch.nn.Module:
    """A network with the gradients and buffers of four batches."""
    torch.manual_seed(0)
    context = {"norm_batch_size": GROUP, "sgd_batch_size": IMAGES}
    layers = NormLayers(find_factory(norm), SHORT.get(norm, {}), context)
    model = build_model("resnet8", norm=layers).double()
    x, y = batch()
    scheduled = [module for module in model.modules() if hasattr(module, "schedule")]
    for step, images in enumerate((x, x.flip(0) * 2, x * 0.5, x.flip(0))):
        for module in scheduled:
            module.schedule(step, 4)
        gradients(model, model, micro)(images, y)
    return model


@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize("micro", [4, 7, 12])
def test_gradients_and_running_statistics_are_those_of_the_whole_batch(norm, micro):
    whole, parts = trained(norm, None), trained(norm, micro)
    for (name, want), got in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert torch.allclose(got.grad, want.grad, rtol=1e-9, atol=1e-12), name
    for (name, want), got in zip(whole.named_buffers(), parts.buffers(), strict=True):
        assert torch.allclose(got, want, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize(
    ("norm", "micro", "size"),
    [("bn", 1, 4), ("bn", 7, 4), ("bn", 8, 8), ("bn", None, 16), ("gn", 1, 1), ("gn", 7, 7)],
)
def test_a_forward_pass_holds_whole_normalization_batches(norm, micro, size):
    """A cut normalization batch would be another point on the x axis."""
    model = build_model("resnet8", norm=NormLayers(find_factory(norm), {}, {"norm_batch_size": GROUP}))
    seen = []

    def forward(x):
        seen.append(len(x))
        return model(x)

    x, y = batch()
    logits = gradients(model, forward, micro)(x.float(), y)
    assert seen[0] == size
    assert sum(seen) == IMAGES == len(logits)


def test_a_norm_over_all_workers_is_never_cut():
    context = {"norm_batch_size": GROUP, "sgd_batch_size": IMAGES}
    model = build_model("resnet8", norm=NormLayers(find_factory("bn_sync"), {}, context))
    assert part_size(model, 4, IMAGES) == IMAGES


def test_only_the_last_part_exchanges_gradients_between_processes():
    """Every part would cost a round over the network."""
    model = build_model("resnet8", norm="gn")
    log = []

    @contextmanager
    def unsynced():
        log.append("unsynced")
        yield
        log.append("end")

    def forward(x):
        log.append(len(x))
        return model(x)

    x, y = batch()
    Accumulation(model, forward, CLASSES, 6, unsynced)(x.float(), y)
    assert log == ["unsynced", 6, "end", "unsynced", 6, "end", 4]
