"""A training step captured as a CUDA graph: one launch in place of hundreds."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from bnrepro.training.step.replayed import Take

WARM_UP_STEPS = 3
"""Libraries choose their kernels and allocate in the first calls, which cannot be captured."""


def capture_graph(take: Take, state: Sequence[Tensor], x: Tensor, y: Tensor) -> Take:
    """Capture `take` on the current device; returns what replays it with another batch of that shape.

    Raises RuntimeError for what a graph cannot hold.
    """
    # of the batch's own layout: a slice of a chunk keeps its strides
    static_x, static_y = x.clone(), y.clone()
    stream = _side_stream(torch.cuda.current_device())
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            take(static_x, static_y)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        # threads that read data may ask the device for memory meanwhile
        with (
            _no_garbage_collection(),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            outputs = take(static_x, static_y)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RuntimeError(
            f"the training step cannot be captured as a CUDA graph ({error}); a norm or model of your own "
            "must not read a tensor's value on the host (.item(), if tensor:), or set capture=false"
        ) from error

    def replay(x: Tensor, y: Tensor) -> Tensor:
        static_x.copy_(x)
        static_y.copy_(y)
        graph.replay()
        return outputs.clone()

    return replay


@cache
def _side_stream(device: int) -> torch.cuda.Stream:
    """One per device: the libraries' work space stays with each stream that was ever used."""
    return torch.cuda.Stream(device)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A graph that is collected while another one is captured would end the capture."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
