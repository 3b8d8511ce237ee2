"""Everything that trains and evaluates one cell, in memory: no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.config.schema import RunConfig
from bnrepro.data import Dataset
from bnrepro.data.resident import EpochTable, ResidentFeed, epoch_table
from bnrepro.models import build_model
from bnrepro.norms import NormLayers, find_factory
from bnrepro.training.evaluation import Evaluator
from bnrepro.training.loop import Trainer
from bnrepro.training.optimizer import build_optimizer
from bnrepro.training.protocol import BatchSizes, batch_sizes, steps_per_epoch
from bnrepro.training.schedule import lr_schedule, scaled_lr
from bnrepro.training.streams import initial_weights


@dataclass(frozen=True)
class Session:
    """A cell ready to take its first step."""

    config: RunConfig
    device: torch.device
    dataset: Dataset
    sizes: BatchSizes
    trainer: Trainer
    evaluator: Evaluator
    batch_statistics: bool

    @classmethod
    def prepare(cls, config: RunConfig, dataset: Dataset, device: torch.device) -> Session:
        """Build model, optimizer, feeds and evaluator. Raises `UsageError` for sizes that cannot be."""
        sizes = batch_sizes(config.protocol, config.batch_size)
        layers = norm_layers(config, sizes)
        with initial_weights(config.seed):
            model = build_network(config, layers, dataset)
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        forward = with_precision(model, config.precision, device)
        train, test = (
            ResidentFeed(split, dataset.mean, dataset.std, config.data.padding, config.data.augment, device)
            for split in (dataset.train, dataset.test)
        )
        trainer = _trainer(config, sizes, model, forward, train)
        evaluator = Evaluator(
            model=model,
            forward=forward,
            train=train,
            test=test,
            batch_size=config.evaluation.batch_size,
            norm_batch_size=sizes.norm_batch_size,
            precise_images=config.evaluation.precise_images,
            seed=config.seed,
        )
        return cls(config, device, dataset, sizes, trainer, evaluator, layers.traits.batch_statistics)

    def table(self, epoch: int) -> EpochTable:
        """The draws of an epoch, counted from 0."""
        data = self.config.data
        return epoch_table(self.config.seed, epoch, len(self.trainer.feed), data.padding, data.augment)


def _trainer(
    config: RunConfig,
    sizes: BatchSizes,
    model: nn.Module,
    forward: Callable[[Tensor], Tensor],
    feed: ResidentFeed,
) -> Trainer:
    steps = steps_per_epoch(len(feed), sizes)
    peak = scaled_lr(config.optimizer, sizes.sgd_batch_size)
    return Trainer(
        model=model,
        forward=forward,
        optimizer=build_optimizer(config.optimizer, model, peak),
        lr=lr_schedule(config.schedule, peak, config.epochs, steps),
        feed=feed,
        sgd_batch_size=sizes.sgd_batch_size,
        steps_per_epoch=steps,
        total_steps=config.epochs * steps,
    )


def norm_layers(config: RunConfig, sizes: BatchSizes) -> NormLayers:
    """The norm of a cell, with what it has to know of the cell."""
    return NormLayers(
        find_factory(config.norm.name, config.norm.factory),
        config.norm.options,
        {"norm_batch_size": sizes.norm_batch_size, "sgd_batch_size": sizes.sgd_batch_size},
    )


def build_network(config: RunConfig, layers: NormLayers, dataset: Dataset) -> nn.Module:
    return build_model(
        config.model.name,
        norm=layers,
        num_classes=len(dataset.classes),
        in_channels=dataset.train.images.shape[-1],
        zero_init_last=config.model.zero_init_last,
        **config.model.options,
    )


def with_precision(model: nn.Module, precision: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The model, under bf16 autocast if asked for; norm statistics stay in float32."""
    if precision == "float32":
        return model

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return model(x)

    return forward
