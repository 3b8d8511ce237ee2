"""A training step recorded as a CUDA graph: one launch in place of hundreds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from bnrepro.training.optimizer import momentum_buffers

Step = Callable[[Tensor, Tensor], Tensor]
"""An optimizer step on `x`, `y`; the logits, detached."""
Recorder = Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], None]]]
"""Given something to do, the tensor that its result will be in and what does it again."""
WARM_UP_STEPS = 3
"""Libraries choose their kernels and allocate in the first calls, which cannot be recorded."""


def cuda_graph(run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """Record `run` on the current device. Raises RuntimeError for what a graph cannot hold."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            result = run()
    except RuntimeError as error:
        raise RuntimeError(
            f"the training step cannot be recorded as a CUDA graph ({error}); a norm or model of your own "
            "must not read a tensor's value on the host (.item(), if tensor:), or set cuda_graph=false"
        ) from error
    return result, graph.replay


class CapturedStep:
    """`step`, recorded at its first call and replayed with every batch of the same shape.

    What differs from step to step has to be in tensors: the batch is copied to where the recorded step reads
    it, the learning rate becomes a tensor, and `schedule` of a norm writes into buffers. Warming up takes
    real steps, so parameters, buffers and momentum are put back afterwards: the first step is the first one.
    """

    def __init__(
        self, step: Step, optimizer: torch.optim.Optimizer, buffers: Iterable[Tensor], record: Recorder
    ) -> None:
        self._step = step
        self._optimizer = optimizer
        self._buffers = list(buffers)
        self._record = record
        self._replay: Callable[[], None] | None = None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        if self._replay is None:
            self._capture(x, y)
        self._x.copy_(x)
        self._y.copy_(y)
        assert self._replay is not None
        self._replay()
        return self._logits.clone()

    def _capture(self, x: Tensor, y: Tensor) -> None:
        # of the batch's own layout: a slice of a chunk keeps its strides
        self._x, self._y = x.clone(), y.clone()
        for group in self._optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=x.device)
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        state = [*parameters, *self._buffers, *momentum_buffers(self._optimizer)]
        before = [tensor.detach().clone() for tensor in state]
        self._logits, self._replay = self._record(lambda: self._step(self._x, self._y))
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
