"""A training step that is recorded once and then replayed: as a CUDA graph, or as a CPU's operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from bnrepro.training.optimizer import momentum_buffers

Step = Callable[[Tensor, Tensor], Tensor]
"""An optimizer step on `x`, `y`; the logits, detached."""
Recorder = Callable[[Step, Sequence[Tensor], Tensor, Tensor], Step]
"""Given a step, every tensor that it changes or that may change between steps, and a batch: the step that is
taken in its place with batches of that shape. May take steps; who calls it puts the tensors back."""


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
