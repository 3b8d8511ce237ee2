"""Everything that trains and evaluates one cell, in memory: no files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.config.schema import RunConfig
from bnrepro.data import Dataset
from bnrepro.data.draws import set_seed
from bnrepro.data.feed import Feed
from bnrepro.models import build_model, has_dropout, is_from_outside
from bnrepro.norms import NormLayers, Traits, find_factory
from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.training.batch_sizes import BatchSizes, batch_sizes, steps_per_epoch
from bnrepro.training.evaluation import Evaluator
from bnrepro.training.first_look import (
    LEAST_IMAGES,
    check_buffers,
    check_output,
    check_traits,
    draws_random_numbers,
    some_images,
)
from bnrepro.training.optimizer import build_optimizer, lr_schedule, scaled_lr
from bnrepro.training.position import Position
from bnrepro.training.process.distributed import World
from bnrepro.training.step.accumulation import Accumulation
from bnrepro.training.step.cpu_replay import replay_operations
from bnrepro.training.step.cuda_graph import capture_graph
from bnrepro.training.step.plain import Gradients, PlainStep, first_outputs, whole_batch
from bnrepro.training.step.replayed import MakeReplay, where_possible
from bnrepro.training.task import CLASSES, Task
from bnrepro.training.trainer import Trainer

ALONE = World()
_WEIGHTS, _STEPS = 0x77656967, 0x73746570
_LEAST_STEPS, _VALUES_PER_STEP = 200, 128
"""When recording a step pays on a CPU: see `is_worth`."""


@dataclass(frozen=True)
class Session:
    """A cell, ready for its first step."""

    config: RunConfig
    device: torch.device
    dataset: Dataset
    sizes: BatchSizes
    task: Task
    trainer: Trainer
    evaluator: Evaluator
    world: World
    traits: Traits
    """What its norm asks for."""
    draws: bool
    """Does its network draw random numbers in training, as dropout does?"""

    @classmethod
    def prepare(
        cls,
        config: RunConfig,
        dataset: Dataset,
        device: torch.device,
        world: World = ALONE,
        feeds: tuple[Feed, Feed] | None = None,
    ) -> Session:
        """Build model, optimizer, feeds and evaluator. Raises `UsageError` for sizes that cannot be.

        `feeds`: those of another session with this data on this device, so that it lies there once.
        """
        sizes = batch_sizes(config.protocol, config.batch_size)
        world.check(sizes)
        layers = norm_layers(config, sizes)
        with initial_weights(config.seed):
            model = build_network(config, layers, dataset)
        world.check_norms(model)
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        train, test = feeds or dataset.feeds(config.data, device)
        group = normalization_batch(model, sizes)
        draws = (
            _first_look(config, model, layers.traits, test, len(dataset.classes), world)
            if is_from_outside(config)
            else has_dropout(config)
        )
        trainer = _trainer(config, sizes, model, train, CLASSES, world, draws)
        evaluator = Evaluator(
            model=model,
            forward=with_precision(model, config.precision, device),
            task=CLASSES,
            train=train,
            test=test,
            batch_size=config.evaluation.batch_size,
            norm_batch_size=group,
            precise_images=config.evaluation.precise_images,
            seed=config.seed,
            world=world,
        )
        return cls(config, device, dataset, sizes, CLASSES, trainer, evaluator, world, layers.traits, draws)

    def table(self, epoch: int) -> Any:
        """The draws of an epoch, counted from 0."""
        return self.trainer.feed.table(self.config.seed, epoch)

    def state(self, position: Position) -> dict[str, Any]:
        """What a checkpoint keeps. Every process has to call this."""
        model, optimizer = self.trainer.model, self.trainer.plain.optimizer
        return {
            "model": model.state_dict(),
            # without its settings, which are the config's; a captured step has the rate in a tensor
            "optimizer": optimizer.state_dict()["state"],
            "position": position.state(),
            "buffers": self.world.gather_buffers(model),
        }

    def restore(self, state: dict[str, Any]) -> Position:
        """Put a checkpoint into model and optimizer."""
        self.trainer.model.load_state_dict(state["model"])
        optimizer = self.trainer.plain.optimizer
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state["optimizer"]})
        self.world.scatter_buffers(self.trainer.model, state["buffers"])
        return Position.from_state(state["position"])


def _first_look(
    config: RunConfig, model: nn.Module, traits: Traits, feed: Feed, classes: int, world: World
) -> bool:
    """Check a network from outside before it trains; does it draw random numbers in training?"""
    sizes = batch_sizes(config.protocol, config.batch_size)
    x = some_images(feed, normalization_batch(model, sizes) if traits.batch_statistics else LEAST_IMAGES)
    check_output(model, x, classes)
    check_traits(model, traits, x, config.norm.name)
    if world.size > 1 or config.micro_batch_size is not None:
        check_buffers(model, x)
    return draws_random_numbers(model, x)


def _trainer(
    config: RunConfig,
    sizes: BatchSizes,
    model: nn.Module,
    feed: Feed,
    task: Task,
    world: World,
    draws: bool,
) -> Trainer:
    steps = steps_per_epoch(len(feed), sizes)
    total = config.epochs * steps
    peak = scaled_lr(config.optimizer, sizes.sgd_batch_size)
    plain = PlainStep(
        model=model,
        optimizer=build_optimizer(config.optimizer, model.parameters(), peak),
        lr=lr_schedule(config.schedule, config.optimizer.base_lr, peak, config.epochs, steps),
        total_steps=total,
        gradients=_gradients(config, sizes, model, feed.device, task, world),
        seed=(lambda number: _seed_step(config.seed, world.rank, number)) if draws else None,
        clip_norm=config.optimizer.clip_norm,
    )
    return Trainer(
        model=model,
        plain=plain,
        make_replay=(
            _make_replay(config, feed.device, total, sizes.step_images * feed.image_values)
            if world.size == 1 and not draws
            else None
        ),
        feed=feed,
        task=task,
        sgd_batch_size=sizes.sgd_batch_size,
        step_images=sizes.step_images,
        steps_per_epoch=steps,
        world=world,
    )


def _gradients(
    config: RunConfig,
    sizes: BatchSizes,
    model: nn.Module,
    device: torch.device,
    task: Task,
    world: World,
) -> Gradients:
    """Forward and backward, as the config asks for them, with the gradients' mean over the processes."""
    parallel = world.parallel(model)
    forward = with_precision(parallel, config.precision, device)
    if config.compile:
        forward = torch.compile(forward)
    if sizes.step_images > sizes.sgd_batch_size:
        forward = first_outputs(forward, sizes.sgd_batch_size)
    if config.micro_batch_size is None:
        return whole_batch(forward, task)
    return Accumulation(model, forward, task, config.micro_batch_size, world.unsynced(parallel))


def is_worth(steps: int, values: int) -> bool:
    """Does a run of so many steps of images with so many values win back what recording and its checks take?

    They take as long as 13 steps, and beside that 0.03 s (MLP of 3 × 100 units) to 0.4 s (LSTM of 16 steps).
    A replayed step saves its calls of Python, whatever its images: 0.4 to 1.5 ms of ResNet-8's, half of an
    MLP's step, and nothing to speak of at 128 images of CIFAR (one thread, an Intel Xeon).
    """
    return steps >= _LEAST_STEPS + values / _VALUES_PER_STEP


def _make_replay(config: RunConfig, device: torch.device, steps: int, values: int) -> MakeReplay | None:
    """How the training step is replayed, where that is asked for and saves time."""
    if config.capture and device.type == "cuda":
        return capture_graph if config.capture is True else where_possible(capture_graph)
    if config.capture and device.type == "cpu" and not config.compile and is_worth(steps, values):
        return replay_operations
    return None


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Draw weights from a stream of their own, the same for every norm and batch size of a seed.

    The global generators are as they were afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        state = np.random.SeedSequence((_WEIGHTS, seed)).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(state) & (2**63 - 1))
        yield


def _seed_step(seed: int, rank: int, number: int) -> None:
    """The random numbers of a step's dropout, the same whether the run was interrupted before it or not."""
    state = np.random.SeedSequence((_STEPS, seed, rank, number)).generate_state(1, np.uint64)[0]
    set_seed(int(state) & (2**63 - 1))


def norm_layers(config: RunConfig, sizes: BatchSizes) -> NormLayers:
    """The norm of a cell, with the batch sizes that it needs to know."""
    return NormLayers(
        find_factory(config.norm.name, config.norm.factory),
        config.norm.options,
        {"norm_batch_size": sizes.norm_batch_size, "sgd_batch_size": sizes.step_images},
    )


def normalization_batch(model: nn.Module, sizes: BatchSizes) -> int:
    """Images whose statistics the layers share: the protocol's, unless the norm has its own (`bn_sync`)."""
    layers = batch_statistics_layers(model).values()
    shared = (layer.norm_batch_size or sizes.step_images for layer in layers)
    return max(shared, default=sizes.norm_batch_size)


def build_network(config: RunConfig, layers: NormLayers, dataset: Dataset) -> nn.Module:
    return build_model(
        config.model.name,
        norm=layers,
        num_classes=len(dataset.classes),
        in_channels=dataset.in_channels,
        zero_init_last=config.model.zero_init_last,
        factory=config.model.factory,
        **config.model.options,
    )


def with_precision(
    model: Callable[..., Tensor], precision: str, device: torch.device
) -> Callable[..., Tensor]:
    """The model, under bf16 autocast if asked for; norm statistics and logits, so the loss, are float32."""
    if precision == "float32":
        return model

    def forward(*inputs: Any) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return model(*inputs).float()

    return forward
