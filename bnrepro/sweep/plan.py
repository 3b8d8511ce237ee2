"""From axes to cells: the grid of norms, values of the axis and seeds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from bnrepro.config.convert import to_dict
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import without_late
from bnrepro.config.labels import packaged_label
from bnrepro.config.schema import DataConfig, RunConfig
from bnrepro.config.validate import validate
from bnrepro.models import check_network
from bnrepro.norms import Traits, find_factory, traits_of
from bnrepro.probes import PROBES
from bnrepro.rundir.result import result_head
from bnrepro.sweep.axis import (
    BATCH_SIZE,
    Axis,
    Number,
    cell_name,
    check_key,
    make_axis,
    number_text,
    point_name,
)
from bnrepro.sweep.configs import compose_base, compose_norms
from bnrepro.sweep.directory import CELLS
from bnrepro.training.batch_sizes import BatchSizes, batch_sizes, steps_per_epoch


@dataclass(frozen=True)
class Axes:
    """What the command line gives; None: the experiment's."""

    norms: tuple[str, ...] | None = None
    values: tuple[Number, ...] | None = None
    """Of `key`; only batch sizes have a default."""
    seeds: tuple[int, ...] | None = None
    key: str = BATCH_SIZE
    scale: str | None = None
    """Of the figure's x axis; None: the usual one."""


@dataclass(frozen=True)
class Cell:
    """One (norm, x, seed) and what follows from it."""

    config: RunConfig
    axis: Axis
    x: Number
    """Its place on the axis: the batch size, or the value of the axis's key."""
    sizes: BatchSizes
    """With the normalization batch that the norm really has."""
    train_images: int
    steps: int
    """Of the whole run."""
    shared: bool
    """Trained once per seed for all batch sizes: `fixed_sgd`, and a norm that sees no batch."""
    batch_statistics: bool
    mixes: bool
    """In lockstep it trains with other batch sizes: `fixed_sgd`, and a norm that takes them as data."""
    weight: float = 1.0
    """Operations of one image, in those of the sweep's lightest network."""

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What its result must say of itself; there are many cells, and the hash takes its time."""
        return result_head(self.config)

    @property
    def images(self) -> int:
        """Seen in the whole run."""
        return self.steps * self.sizes.sgd_batch_size

    @property
    def point(self) -> str:
        """What it shares with its other seeds: `bn-b4`."""
        return point_name(self.config.norm.name, self.axis.short, self.x)

    @property
    def at(self) -> str:
        """Its place on the axis, for people."""
        return f"{'batch size' if self.axis.is_batch_size else self.axis.key} {number_text(self.x)}"

    @property
    def shape(self) -> str:
        """The name of the cells that can train as one stacked model."""
        return self.config.norm.name if self.mixes else self.point

    @property
    def id(self) -> str:
        return cell_name(self.config.norm.name, self.axis.short, self.x, self.config.seed)

    def directory(self, sweep: Path) -> Path:
        return sweep / CELLS / self.id


@dataclass(frozen=True)
class Plan:
    """A sweep before it runs."""

    base: RunConfig
    axis: Axis
    norms: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    overrides: tuple[str, ...]

    def dropped_images(self) -> dict[tuple[int, int], int]:
        """(training images, SGD batch size) -> images that no epoch sees, where there are any."""
        pairs = sorted({(cell.train_images, cell.sizes.sgd_batch_size) for cell in self.cells})
        return {(images, size): images % size for images, size in pairs if images % size}


TrainImages = int | Callable[[DataConfig], int]
"""Of every cell, or of the data set that a config describes."""


def plan_sweep(
    overrides: Sequence[str], axes: Axes, train_images: TrainImages, config_dir: Path | None = None
) -> Plan:
    """The cells of a grid over `train_images` training images.

    Raises `UsageError` for an override that is an axis, for a key that is not a number or cannot change one,
    for a value that it does not take, and naming all batch sizes that cannot be.
    """
    base = compose_base(overrides, config_dir, axes.key)
    check_key(axes.key, base)
    norms = _distinct("--norms", axes.norms, base.sweep.norms)
    seeds = _distinct("--seeds", axes.seeds, base.sweep.seeds)
    if bad := [seed for seed in seeds if seed < 0]:
        raise UsageError(f"--seeds {bad[0]}: must be 0 or more")
    axis = _axis(axes, base)
    configs = compose_norms(overrides, norms, axis, config_dir)
    axis = dataclasses.replace(axis, values=_values(axis, configs[norms[0]]))
    counted = cache(train_images) if callable(train_images) else lambda data: train_images
    points = [
        _Point(axis.put(config, x), axis, x, counted)
        for config in configs.values()
        for x in _xs(axis, config)
    ]
    for point in points:
        validate(point.config)
        check_network(point.config)
    for name in base.probes:
        PROBES.find(name)
    _refuse_impossible(points)
    cells = tuple(cell for point in points for cell in point.cells(seeds))
    return Plan(base, axis, norms, seeds, cells, tuple(overrides))


def _distinct(option: str, given: Sequence[Any] | None, default: Sequence[Any]) -> tuple[Any, ...]:
    values = tuple(default if given is None else given)
    if not values:
        raise UsageError(f"{option}: must name at least one")
    if twice := sorted(value for value, times in Counter(values).items() if times > 1):
        raise UsageError(f"{option} {','.join(map(str, values))}: {twice[0]} twice")
    return values


def _axis(axes: Axes, base: RunConfig) -> Axis:
    if axes.key != BATCH_SIZE:
        return make_axis(axes.key, _distinct("--values", axes.values, ()), axes.scale)
    sizes = _distinct("--batch-sizes", axes.values, base.sweep.batch_sizes)
    if bad := [size for size in sizes if size < 1]:
        raise UsageError(f"--batch-sizes {bad[0]}: must be 1 or more")
    return make_axis(axes.key, sizes, axes.scale)


def _values(axis: Axis, config: RunConfig) -> tuple[Number, ...]:
    """As the config has them: 1 is 1.0 where the key is not a whole number."""
    return tuple(axis.take(value, config) for value in axis.values)


def _traits(config: RunConfig) -> Traits:
    return traits_of(find_factory(config.norm.name, config.norm.factory))


def _xs(axis: Axis, config: RunConfig) -> Sequence[Number]:
    """Where a norm is trained: at one batch size for all, where none of them is anything to it."""
    shared = config.protocol.sgd_batch_size
    if not axis.is_batch_size or shared is None or _traits(config).batch_statistics:
        return axis.values
    return [shared]


@dataclass(frozen=True)
class _Point:
    """A norm at one place of the axis."""

    config: RunConfig
    axis: Axis
    x: Number
    count: Callable[[DataConfig], int]

    @property
    def name(self) -> str:
        return point_name(self.config.norm.name, self.axis.short, self.x)

    def steps(self) -> int:
        """Of an epoch. Raises `UsageError` where the batch size cannot be."""
        config = self.config
        return steps_per_epoch(self.count(config.data), batch_sizes(config.protocol, config.batch_size))

    def cells(self, seeds: Sequence[int]) -> Iterator[Cell]:
        config, asks = self.config, _traits(self.config)
        alone = config.protocol.sgd_batch_size is None or not self.axis.is_batch_size
        cell = Cell(
            config=config,
            axis=self.axis,
            x=self.x,
            sizes=batch_sizes(config.protocol, config.batch_size, asks.all_workers),
            train_images=self.count(config.data),
            steps=config.epochs * self.steps(),
            shared=not alone and not asks.batch_statistics,
            batch_statistics=asks.batch_statistics,
            mixes=not alone and asks.mixed is not None,
        )
        for seed in seeds:
            yield dataclasses.replace(cell, config=dataclasses.replace(config, seed=seed))


def _refuse_impossible(points: Sequence[_Point]) -> None:
    reasons = {}
    for point in points:
        try:
            point.steps()
        except UsageError as error:
            reasons[point.name] = str(error)
    if reasons:
        raise UsageError(f"these cells cannot be: {', '.join(reasons)} ({next(iter(reasons.values()))})")


def sweep_json(plan: Plan) -> dict[str, Any]:
    """What `sweep.json` says of a plan: schema 1 of batch sizes, schema 2 of any other axis."""
    axis, base = plan.axis, to_dict(plan.base)
    for key in ("norm", "seed", "sweep", "launcher"):
        del base[key]
    norms = {cell.config.norm.name: cell.config.norm for cell in plan.cells}
    options = {name: without_late(norm.options, "norm.options.") for name, norm in norms.items()}
    for held in (base, *({"norm": {"options": each}} for each in options.values())):
        _drop(held, axis.key)
    sizes = {"batch_sizes": list(axis.values)}
    return {
        "schema": 1 if axis.is_batch_size else 2,
        "experiment": plan.base.experiment,
        "protocol": plan.base.protocol.name,
        "reference": plan.base.sweep.reference if axis.is_batch_size else None,
        "base": base,
        "norms": list(plan.norms),
        **(sizes if axis.is_batch_size else {"axis": to_dict(axis)}),
        "seeds": list(plan.seeds),
        "norm_options": options,
        **_own_labels(plan),
        "overrides": list(plan.overrides),
        "cells": [_cell_json(cell) for cell in plan.cells],
    }


def _own_labels(plan: Plan) -> dict[str, dict[str, str | None]]:
    """What figures call norms that the package does not name so: nobody else would know."""
    labels = {cell.config.norm.name: cell.config.norm.label for cell in plan.cells}
    own = {norm: label for norm, label in labels.items() if label != packaged_label(norm)}
    return {"norm_labels": own} if own else {}


def _drop(config: dict[str, Any], key: str) -> None:
    """Take an axis's key out of a config dict: its values are the cells'."""
    *groups, name = key.split(".")
    for group in groups:
        config = config.get(group, {})
    for place in (config, config.get("options", {})):
        place.pop(name, None)


def _cell_json(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.id,
        "norm": cell.config.norm.name,
        **({} if cell.axis.is_batch_size else {"x": cell.x}),
        "batch_size": cell.config.batch_size,
        "seed": cell.config.seed,
        "config_hash": cell.identity["config_hash"],
        "shared": cell.shared,
        "steps": cell.steps,
        "workers": cell.sizes.workers,
        "sgd_batch_size": cell.sizes.sgd_batch_size,
        "norm_batch_size": cell.sizes.norm_batch_size if cell.batch_statistics else None,
    }
