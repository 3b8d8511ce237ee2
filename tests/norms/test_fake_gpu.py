"""A user's first minutes on a GPU would end in an error that no CPU shows.

torch's fake tensors have a device, shapes and strides but no values: operations on them go the way that those
of CUDA go, with its checks and memory formats. Forward only: backward needs the device itself.
"""

import inspect
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, vmap

from bnrepro.norms import NORMS, build_norm
from bnrepro.norms.batch_statistics import BatchStatistics
from bnrepro.norms.mixed_batches import MixedBatchNorm, averaging

GPU = torch.device("cuda")
MODELS, IMAGES, CHANNELS = 2, 8, 16


def layer(name, norm_batch_size):
    context = {"norm_batch_size": norm_batch_size, "sgd_batch_size": IMAGES, "default_groups": 8}
    options = {key: context[key] for key in inspect.signature(NORMS[name]).parameters if key in context}
    with GPU:
        made = build_norm(name, CHANNELS, **options)
    if hasattr(made, "schedule"):
        made.schedule(0, 10)
    return made.train()


def activations(*stacks, dtype=torch.float32):
    """`(*stacks, N, C, H, W)`, channels last."""
    return torch.empty(*stacks, IMAGES, 8, 8, CHANNELS, dtype=dtype, device=GPU).movedim(-1, -3)


def in_lockstep(model, x):
    """The layer mapped over a stack, as `Lockstep` maps a network."""
    parameters, buffers = (
        {name: torch.stack([value.detach()] * MODELS) for name, value in named}
        for named in (model.named_parameters(), model.named_buffers())
    )
    return vmap(lambda *values: functional_call(model, values[:2], values[2:]))(parameters, buffers, x)


@contextmanager
def autocast(dtype):
    """What `torch.autocast` sets where there is a GPU."""
    torch.set_autocast_enabled("cuda", dtype == torch.bfloat16)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("norm_batch_size", [2, IMAGES])
@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_norm_runs_alone_and_in_lockstep(norm, norm_batch_size, dtype):
    with FakeTensorMode():
        own = layer(norm, norm_batch_size)
        with autocast(dtype):
            assert own(activations(dtype=dtype)).shape == (IMAGES, CHANNELS, 8, 8)
            if isinstance(own, BatchStatistics):
                own.stacked = True
            y = in_lockstep(own, activations(MODELS, dtype=dtype))
        assert y.device.type == "cuda"
        assert y.shape == (MODELS, IMAGES, CHANNELS, 8, 8)


def test_mixed_normalization_batches_run_in_lockstep():
    with FakeTensorMode():
        own = layer("bn", 2)
        one = MixedBatchNorm(own, averaging(IMAGES, [2], own.weight)[0], torch.tensor(2.0))
        assert in_lockstep(one.to(GPU), activations(MODELS)).shape == (MODELS, IMAGES, CHANNELS, 8, 8)


@pytest.mark.parametrize("norm_batch_size", [1, 2, IMAGES])
def test_bn_keeps_channels_last(norm_batch_size):
    """Else each convolution behind it would turn its input around, and the gradient back."""
    with FakeTensorMode():
        y = layer("bn", norm_batch_size)(activations())
        assert y.is_contiguous(memory_format=torch.channels_last)
