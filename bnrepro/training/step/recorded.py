"""A training step that is recorded once and then replayed: as a CUDA graph, or as a CPU's operations."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from bnrepro.training.optimizer import momentum_buffers

Step = Callable[[Tensor, Tensor], Tensor]
"""An optimizer step on `x`, `y`; the logits, detached."""
Recorder = Callable[[Step, Sequence[Tensor], Tensor, Tensor], Step]
"""Given a step, every tensor that it changes or that may change between steps, and a batch: the step that is
taken in its place with batches of that shape. May take steps; who calls it puts the tensors back."""
WARM_UP_STEPS = 3
"""Libraries choose their kernels and allocate in the first calls, which cannot be recorded."""


def cuda_graph(step: Step, state: Sequence[Tensor], x: Tensor, y: Tensor) -> Step:
    """Record `step` on the current device: one launch in place of hundreds.

    Raises RuntimeError for what a graph cannot hold.
    """
    # of the batch's own layout: a slice of a chunk keeps its strides
    static_x, static_y = x.clone(), y.clone()
    stream = _side_stream(torch.cuda.current_device())
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            step(static_x, static_y)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        # threads that read data may ask the device for memory meanwhile
        with (
            _no_garbage_collection(),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            logits = step(static_x, static_y)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RuntimeError(
            f"the training step cannot be recorded as a CUDA graph ({error}); a norm or model of your own "
            "must not read a tensor's value on the host (.item(), if tensor:), or set capture=false"
        ) from error

    def replay(x: Tensor, y: Tensor) -> Tensor:
        static_x.copy_(x)
        static_y.copy_(y)
        graph.replay()
        return logits.clone()

    return replay


@cache
def _side_stream(device: int) -> torch.cuda.Stream:
    """One per device: the libraries' work space stays with each stream that was ever used."""
    return torch.cuda.Stream(device)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A graph that is collected while another one is recorded would end the recording."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class CapturedStep:
    """`step`, recorded at its first call and replayed with every batch of the same shape.

    What differs from step to step has to be in tensors: the learning rate becomes one, and `schedule` of a
    norm writes into buffers. Recording takes real steps, so parameters, buffers and momentum are put back
    afterwards: the first step is the first one.

    On a CPU the replay is checked with learning rate and schedules as they are at the steps `moments`. Where
    it does not give at each of them what the step gives, bit for bit, the step is taken itself: a norm of the
    user's own may keep a number in Python that changes.
    """

    def __init__(
        self,
        step: Step,
        optimizer: torch.optim.Optimizer,
        buffers: Iterable[Tensor],
        record: Recorder,
        get_ready: Callable[[int], None],
        moments: Sequence[int],
    ) -> None:
        self._step = step
        self._get_ready = get_ready
        self._optimizer = optimizer
        self._buffers = list(buffers)
        self._record = record
        self._moments = moments
        self._replay: Step | None = None

    def __call__(self, x: Tensor, y: Tensor, number: int) -> Tensor:
        """Step `number` of the run, for which `get_ready` sets learning rate and schedules."""
        if self._replay is None:
            self._get_ready(number)
            self._replay = self._capture(x, y)
        self._get_ready(number)
        return self._replay(x, y)

    def _capture(self, x: Tensor, y: Tensor) -> Step:
        for group in self._optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=x.device)
        state = self._state()
        before = _copies(state)
        replay = self._record(self._step, state, x, y)
        self._optimizer.zero_grad()  # of a step that broke off
        _put_back(state, before)
        if x.device.type == "cpu" and replay is not self._step:
            agrees = all(self._agrees(replay, moment, state, x, y) for moment in self._moments)
            _put_back(state, before)
            return replay if agrees else self._step
        return replay

    def _state(self) -> list[Tensor]:
        """Every tensor that the step changes, and the learning rates."""
        groups = self._optimizer.param_groups
        parameters = [parameter for group in groups for parameter in group["params"]]
        rates = [group["lr"] for group in groups]
        return [*parameters, *self._buffers, *momentum_buffers(self._optimizer), *rates]

    def _agrees(self, replay: Step, moment: int, state: Sequence[Tensor], x: Tensor, y: Tensor) -> bool:
        """Whether two steps come to the same both ways; the second sees what the first leaves behind."""
        self._get_ready(moment)
        before = _copies(state)
        ends = []
        for way in (self._step, replay):
            _put_back(state, before)
            logits = [way(x, y) for _ in range(2)]
            ends.append([*logits, *_copies(state)])
        return all(map(torch.equal, *ends))


def _copies(state: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in state]


@torch.no_grad()
def _put_back(state: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for tensor, value in zip(state, values, strict=True):
        tensor.copy_(value)
