"""A step that is replayed: as a CUDA graph (`cuda_graph.py`), or as a CPU's operations (`cpu_replay.py`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from bnrepro.config.errors import one_line, shortened
from bnrepro.training.optimizer import state_tensors
from bnrepro.training.step.plain import PlainStep

Take = Callable[[Tensor, Tensor], Tensor]
"""An optimizer step on `x`, `y`; the outputs, detached."""
MakeReplay = Callable[[Take, Sequence[Tensor], Tensor, Tensor], Take]
"""`make(take, state, x, y)`: what takes the place of `take` with batches of that shape. `state`: every tensor
that the step changes or that may change between steps. It may take steps: the caller restores the state."""


def where_possible(make_replay: MakeReplay) -> MakeReplay:
    """`make_replay`, or the plain step and a line that says why.

    What fails on a machine on which it was never tried, with a driver or a norm that nobody had, must not end
    a run that trains without it.
    """

    def make(take: Take, state: Sequence[Tensor], x: Tensor, y: Tensor) -> Take:
        try:
            return make_replay(take, state, x, y)
        except Exception as error:
            take(x, y)  # what the step itself cannot do is an error of the run
            reason = one_line(shortened(f"{type(error).__name__}: {error}", 200))
            print(
                f"bnrepro: steps are taken one by one, which is slower: {reason}", file=sys.stderr, flush=True
            )
            return take

    return make


class ReplayedStep:
    """A `PlainStep` that is captured at its first call and replayed with every batch of the same shape.

    Whatever changes from step to step has to be a tensor: the learning rate becomes one, and a norm's
    `schedule` writes into buffers. Capturing takes real steps, so parameters, buffers and the optimizer's
    state are restored afterwards: the first step is the first one.

    On a CPU the replay is checked with learning rate and schedules as they are at the run's first, middle and
    last step. Where it does not give what the plain step gives, bit for bit, the plain step is taken: a norm
    of the user's own may keep a number in Python that changes.
    """

    def __init__(self, plain: PlainStep, buffers: Iterable[Tensor], make_replay: MakeReplay) -> None:
        self._plain = plain
        self._buffers = list(buffers)
        self._make_replay = make_replay
        self._take: Take | None = None
        self.replays = False
        """Is the step replayed? Known after the first call."""

    def __call__(self, x: Tensor, y: Tensor, number: int) -> Tensor:
        """Step `number` of the run, as `PlainStep`."""
        if self._take is None:
            self._take = self._capture(x, y, number)
        self._plain.prepare(number)
        return self._take(x, y)

    def _capture(self, x: Tensor, y: Tensor, number: int) -> Take:
        plain = self._plain.take
        self._plain.prepare(number)
        for group in self._plain.optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=x.device)
        state = self._state()
        before = _copies(state)
        replay = self._make_replay(plain, state, x, y)
        self._plain.optimizer.zero_grad()  # of a step that broke off
        _restore(state, before)
        self.replays = replay is not plain
        if self.replays and x.device.type == "cpu":
            last = self._plain.total_steps - 1
            self.replays = all(self._agrees(replay, step, state, x, y) for step in (0, (last + 1) // 2, last))
            _restore(state, before)
        if self.replays:
            return replay
        for group in self._plain.optimizer.param_groups:
            group["lr"] = float(group["lr"])
        return plain

    def _state(self) -> list[Tensor]:
        """Every tensor that the step changes, and the learning rates."""
        optimizer = self._plain.optimizer
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        rates = [group["lr"] for group in optimizer.param_groups]
        kept = [tensor for tensors in state_tensors(optimizer).values() for tensor in tensors]
        return [*parameters, *self._buffers, *kept, *rates]

    def _agrees(self, replay: Take, number: int, state: Sequence[Tensor], x: Tensor, y: Tensor) -> bool:
        """Do two steps give the same both ways? The second one starts from what the first one leaves."""
        self._plain.prepare(number)
        before = _copies(state)
        ends = []
        for take in (self._plain.take, replay):
            _restore(state, before)
            outputs = [take(x, y) for _ in range(2)]
            ends.append([*outputs, *_copies(state)])
        return all(map(torch.equal, *ends))


def _copies(state: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in state]


@torch.no_grad()
def _restore(state: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for tensor, value in zip(state, values, strict=True):
        tensor.copy_(value)
