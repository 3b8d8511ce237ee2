"""From axes to cells. Hydra composes once per norm, never per cell."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnrepro.config.compose import compose_config, norm_options
from bnrepro.config.convert import to_dict, unknown_key
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import config_hash
from bnrepro.config.schema import RunConfig
from bnrepro.norms import Traits, find_factory, traits_of
from bnrepro.sweep.directory import CELLS, cell_name
from bnrepro.training.batch_sizes import BatchSizes, batch_sizes, steps_per_epoch

AXES = {"norm": "--norms", "batch_size": "--batch-sizes", "seed": "--seeds"}
AXES |= {"sweep.norms": "--norms", "sweep.batch_sizes": "--batch-sizes", "sweep.seeds": "--seeds"}


@dataclass(frozen=True)
class Axes:
    """What the command line gives; None: the experiment's."""

    norms: tuple[str, ...] | None = None
    batch_sizes: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Cell:
    """One (norm, batch size, seed) and what follows from it."""

    config: RunConfig
    sizes: BatchSizes
    """With the normalization batch that the norm really has."""
    steps: int
    """Of the whole run."""
    images: int
    """Seen in the whole run."""
    shared: bool
    """Trained once per seed for all batch sizes: `fixed_sgd`, and a norm that sees no batch."""
    batch_statistics: bool
    mixes: bool
    """In lockstep it trains with other batch sizes: `fixed_sgd`, and a norm that takes them as data."""

    @property
    def shape(self) -> str:
        """The name of the cells that can train as one stacked model."""
        norm = self.config.norm.name
        return norm if self.mixes else f"{norm}-b{self.config.batch_size}"

    @property
    def id(self) -> str:
        return cell_name(self.config.norm.name, self.config.batch_size, self.config.seed)

    def directory(self, sweep: Path) -> Path:
        return sweep / CELLS / self.id


@dataclass(frozen=True)
class Plan:
    """A sweep before it runs."""

    base: RunConfig
    norms: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    overrides: tuple[str, ...]
    train_images: int

    def dropped_images(self) -> dict[int, int]:
        """SGD batch size -> training images that no epoch sees, where there are any."""
        sizes = sorted({cell.sizes.sgd_batch_size for cell in self.cells})
        return {size: self.train_images % size for size in sizes if self.train_images % size}


def plan_sweep(
    overrides: Sequence[str], axes: Axes, train_images: int, config_dir: Path | None = None
) -> Plan:
    """The cells of a grid over `train_images` training images.

    Raises `UsageError` for an override that is an axis, and naming all batch sizes that cannot be.
    """
    base = compose_base(overrides, config_dir)
    norms = _distinct("--norms", axes.norms, base.sweep.norms)
    sizes = _distinct("--batch-sizes", axes.batch_sizes, base.sweep.batch_sizes)
    seeds = _distinct("--seeds", axes.seeds, base.sweep.seeds)
    for option, values, least in (("--batch-sizes", sizes, 1), ("--seeds", seeds, 0)):
        if bad := [value for value in values if value < least]:
            raise UsageError(f"{option} {bad[0]}: must be {least} or more")
    configs = dict(_per_norm(overrides, norms, config_dir))
    _refuse_impossible(configs, sizes, train_images)
    cells = tuple(cell for norm in norms for cell in _cells_of(configs[norm], sizes, seeds, train_images))
    return Plan(base, norms, sizes, seeds, cells, tuple(overrides), train_images)


def compose_base(overrides: Sequence[str], config_dir: Path | None) -> RunConfig:
    """The config without its norm's options. Raises `UsageError` for an override that is an axis."""
    for override in overrides:
        key = override.split("=")[0].lstrip("+~")
        if key in AXES:
            raise UsageError(f"{override}: is an axis of the sweep; give it with {AXES[key]}")
    return compose_config([o for o in overrides if not _norm_option(o)], config_dir)


def _norm_option(override: str) -> str | None:
    match = re.match(r"[+]{0,2}norm\.(\w+)=", override)
    return match.group(1) if match else None


def _per_norm(
    overrides: Sequence[str], norms: Sequence[str], config_dir: Path | None
) -> Iterator[tuple[str, RunConfig]]:
    """Each norm's config, with the `norm.KEY=` overrides whose KEY it has."""
    options = {norm: norm_options(norm, config_dir) for norm in norms}
    known = {key for keys in options.values() for key in keys}
    for override in overrides:
        key = _norm_option(override)
        if key is not None and key not in known:
            raise UsageError(unknown_key(f"norm.{key}", key, known) + f" (norms {', '.join(norms)})")
    for norm in norms:
        fitting = [o for o in overrides if (key := _norm_option(o)) is None or key in options[norm]]
        yield norm, compose_config([f"norm={norm}", *fitting], config_dir)


def _distinct(option: str, given: Sequence[Any] | None, default: Sequence[Any]) -> tuple[Any, ...]:
    values = tuple(default if given is None else given)
    if not values:
        raise UsageError(f"{option}: must name at least one")
    if twice := sorted(value for value, times in Counter(values).items() if times > 1):
        raise UsageError(f"{option} {','.join(map(str, values))}: {twice[0]} twice")
    return values


def _refuse_impossible(configs: dict[str, RunConfig], sizes: Sequence[int], train_images: int) -> None:
    reasons = {}
    for norm, config in configs.items():
        for size in _sizes_of(config, sizes):
            try:
                steps_per_epoch(train_images, batch_sizes(config.protocol, size))
            except UsageError as error:
                reasons[f"{norm}-b{size}"] = str(error)
    if reasons:
        raise UsageError(f"these cells cannot be: {', '.join(reasons)} ({next(iter(reasons.values()))})")


def _traits(config: RunConfig) -> Traits:
    return traits_of(find_factory(config.norm.name, config.norm.factory))


def _sizes_of(config: RunConfig, sizes: Sequence[int]) -> Sequence[int]:
    """The batch sizes that a norm is trained at: one for all, where none of them is anything to it."""
    shared = config.protocol.sgd_batch_size
    return sizes if shared is None or _traits(config).batch_statistics else [shared]


def _cells_of(
    config: RunConfig, sizes: Sequence[int], seeds: Sequence[int], train_images: int
) -> Iterator[Cell]:
    asks = _traits(config)
    fixed = config.protocol.sgd_batch_size is not None
    shared, mixes = fixed and not asks.batch_statistics, fixed and asks.mixed is not None
    for size in _sizes_of(config, sizes):
        numbers = batch_sizes(config.protocol, size, asks.all_workers)
        steps = config.epochs * steps_per_epoch(train_images, numbers)
        images = steps * numbers.sgd_batch_size
        for seed in seeds:
            cell = dataclasses.replace(config, batch_size=size, seed=seed)
            yield Cell(cell, numbers, steps, images, shared, asks.batch_statistics, mixes)


def sweep_json(plan: Plan) -> dict[str, Any]:
    """What `sweep.json` says of a plan."""
    base = to_dict(plan.base)
    for axis in ("norm", "batch_size", "seed", "sweep", "launcher"):
        del base[axis]
    return {
        "schema": 1,
        "experiment": plan.base.experiment,
        "protocol": plan.base.protocol.name,
        "reference": plan.base.sweep.reference,
        "base": base,
        "norms": list(plan.norms),
        "batch_sizes": list(plan.batch_sizes),
        "seeds": list(plan.seeds),
        "norm_options": {cell.config.norm.name: dict(cell.config.norm.options) for cell in plan.cells},
        "overrides": list(plan.overrides),
        "cells": [
            {
                "id": cell.id,
                "norm": cell.config.norm.name,
                "batch_size": cell.config.batch_size,
                "seed": cell.config.seed,
                "config_hash": config_hash(cell.config),
                "shared": cell.shared,
                "steps": cell.steps,
                "workers": cell.sizes.workers,
                "sgd_batch_size": cell.sizes.sgd_batch_size,
                "norm_batch_size": cell.sizes.norm_batch_size if cell.batch_statistics else None,
            }
            for cell in plan.cells
        ],
    }
