"""Cells of one shape as one stacked model: what a GPU does for one it then does for all at once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bnrepro.data.feed import Part
from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.norms.mixed_batches import averaging
from bnrepro.training.optimizer import build_optimizer, state_tensors
from bnrepro.training.position import Position
from bnrepro.training.process.device import wait_for
from bnrepro.training.session import Session, with_precision
from bnrepro.training.step.plain import PlainStep, first_outputs
from bnrepro.training.trainer import Chunk, Diverged, best_step, divergence, take_steps


class Lockstep:
    """K sessions that differ in nothing but their seed, trained step by step together.

    Those of one SGD batch may also differ in their normalization batch, if the norm takes it as data
    (`Traits.mixed`).

    Each member keeps its own initial weights, order and augmentation. Parameters, buffers and momentum lie in
    stacks `(K, ...)`, which the model is mapped over (`torch.func.vmap`); the members' own become views of
    them, so that each is evaluated, saved and restored as if it trained alone. The loss is the sum of the
    members' mean losses: no gradient of one depends on another, also where one is not finite.

    A member's numbers are those of training alone up to rounding: a stacked convolution is another kernel. In
    bf16 more of it is float32 than alone: `vmap` turns what batch norms and biases give into that.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        trainers = [session.trainer for session in sessions]
        first = sessions[0]
        if first.draws:
            raise ValueError(
                "the network draws random numbers in training (dropout), which cells in lockstep cannot do "
                "each on its own; --lockstep off"
            )
        self.device = first.device
        self._trainers = trainers
        self._tables = [session.table for session in sessions]
        self.template = copy.deepcopy(first.trainer.model).train()
        for layer in batch_statistics_layers(self.template).values():
            layer.stacked = True
        buffers = _share_buffers([trainer.model for trainer in trainers], self.template)
        self._buffers = buffers | _mix_batches(self.template, sessions)
        optimizers = [trainer.plain.optimizer for trainer in trainers]
        states = [state_tensors(optimizer) for optimizer in optimizers]
        self._parameters = _share_parameters([trainer.model for trainer in trainers])
        optimizer = build_optimizer(first.config.optimizer, self._parameters.values(), lr=0.0)
        _share_state(optimizer, optimizers, states)
        one, sizes = self._one, first.sizes
        if sizes.step_images > sizes.sgd_batch_size:
            one = first_outputs(one, sizes.sgd_batch_size)
        self._forward = with_precision(vmap(one), first.config.precision, first.device)
        alone = first.trainer.plain
        plain = PlainStep(self.template, optimizer, alone.lr, alone.total_steps, self._gradients)
        self._step = best_step(plain, buffers.values(), first.trainer.make_replay)

    def __len__(self) -> int:
        return len(self._trainers)

    def train_epoch(
        self, positions: Sequence[Position], pause: Callable[[Chunk], None]
    ) -> list[Diverged | None]:
        """Take the steps that are left of the epoch that all of `positions` are in; how it went for each.

        `pause` is called between chunks of steps, with the images of one member. Divergence is noticed at the
        epoch's end. The time of a step is shared out equally, so that the members' sums make the whole.
        """
        trainer, size = self._trainers[0], self._trainers[0].sgd_batch_size
        chunks = trainer.chunks(positions[0])
        batches = self._batches(positions, [trainer.positions(*chunk) for chunk in chunks])
        for first, last in chunks:
            start = time.perf_counter()
            x, y = next(batches)
            y = trainer.behind_losses(y)
            number = positions[0].epoch * trainer.steps_per_epoch + first
            losses, wrong = take_steps(self._step, trainer.task, x, y, size, number)
            for position, own_losses, own_wrong in zip(positions, losses, wrong, strict=True):
                position.note(own_losses, own_wrong, last)
            if last == trainer.steps_per_epoch:
                wait_for(x.device)
            seconds = time.perf_counter() - start
            for position in positions:
                position.train_seconds += seconds / len(self)
            pause(Chunk(images=(last - first) * size, seconds=seconds))
        return [divergence(position, trainer.steps_per_epoch) for position in positions]

    def _batches(
        self, positions: Sequence[Position], parts: Sequence[Part]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """x `(K, n, C, H, W)` and y `(K, n)`: each member's images of a part of its own epoch."""
        feeds = [
            trainer.feed.train_batches(table(position.epoch), parts)
            for trainer, table, position in zip(self._trainers, self._tables, positions, strict=True)
        ]
        for drawn in zip(*feeds, strict=True):
            yield stack([x for x, _ in drawn]), torch.stack([y for _, y in drawn])

    def _gradients(self, x: Tensor, y: Tensor) -> Tensor:
        outputs = self._forward(self._parameters, self._buffers, x)
        losses = self._trainers[0].task.loss(outputs, y, "none")
        losses.mean(1).sum().backward()
        return outputs.detach()

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self.template, (parameters, buffers), (x,))


def stack(tensors: Sequence[Tensor]) -> Tensor:
    """`torch.stack`, but images and filters keep their channels last."""
    if tensors[0].dim() == 4:
        return torch.stack([t.permute(0, 2, 3, 1) for t in tensors]).permute(0, 1, 4, 2, 3)
    return torch.stack(list(tensors))


@torch.no_grad()
def _share_parameters(models: Sequence[nn.Module]) -> dict[str, nn.Parameter]:
    """Stacked parameters by name, of which the models' own become views."""
    named = [dict(model.named_parameters()) for model in models]
    stacked = {name: nn.Parameter(stack([own[name].detach() for own in named])) for name in named[0]}
    for name, values in stacked.items():
        for own, value in zip(named, values.detach(), strict=True):
            own[name].data = value
    return stacked


@torch.no_grad()
def _share_buffers(models: Sequence[nn.Module], template: nn.Module) -> dict[str, Any]:
    """Stacked buffers by name, of which the models' own become views.

    The template holds the stacks themselves: its norms' `schedule` then writes for all members at once.
    """
    named = [dict(model.named_buffers()) for model in models]
    stacked = {name: stack([own[name] for own in named]) for name in named[0]}
    for name, values in stacked.items():
        _set_buffer(template, name, values)
        for model, value in zip(models, values, strict=True):
            _set_buffer(model, name, value)
    return stacked


def _share_state(
    optimizer: torch.optim.Optimizer,
    members: Sequence[torch.optim.Optimizer],
    states: Sequence[Mapping[str, Sequence[Tensor]]],
) -> None:
    """Give the stack's optimizer what the members' keep, stacked; theirs become views of it."""
    for name in states[0]:
        for i, parameter in enumerate(optimizer.param_groups[0]["params"]):
            stacked = stack([state[name][i] for state in states])
            optimizer.state[parameter][name] = stacked
            for member, own in zip(members, stacked, strict=True):
                member.state[member.param_groups[0]["params"][i]][name] = own


def _mix_batches(template: nn.Module, sessions: Sequence[Session]) -> dict[str, Tensor]:
    """Let the template's norms take their normalization batches as data, stacked, where the sessions' differ.

    That data by name; nothing where all have the same. Raises ValueError for a norm that cannot.
    """
    sizes = [session.sizes.norm_batch_size for session in sessions]
    if len(set(sizes)) == 1:
        return {}
    mixed = sessions[0].traits.mixed
    if mixed is None:
        raise ValueError(f"norm {sessions[0].config.norm.name}: its normalization batches {sizes} do not mix")
    like = next(template.parameters())
    averages = averaging(sessions[0].sizes.sgd_batch_size, sizes, like)
    images = torch.tensor(sizes, dtype=like.dtype, device=like.device)
    data: dict[str, Tensor] = {}
    for name, layer in batch_statistics_layers(template).items():
        mixing = mixed(layer, averages, images)
        template.set_submodule(name, mixing)
        known = dict(layer.named_buffers())
        data |= {f"{name}.{key}": own for key, own in mixing.named_buffers() if key not in known}
    return data


def _set_buffer(model: nn.Module, name: str, value: Tensor) -> None:
    module, _, leaf = name.rpartition(".")
    model.get_submodule(module)._buffers[leaf] = value
