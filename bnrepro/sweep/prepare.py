"""A sweep as a user asks for it: its plan on the real data, every cell with what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data import Dataset, load_data
from bnrepro.sweep.plan import Axes, Cell, Plan, plan_sweep
from bnrepro.training.session import build_network, norm_layers
from bnrepro.training.speed.estimate import estimate


def prepare_sweep(
    overrides: Sequence[str], axes: Axes, config_dir: Path | None = None
) -> tuple[Plan, Dataset]:
    """The plan, and the data set of its first cell. Raises `UsageError` as planning and loading do."""
    plan = plan_sweep(overrides, axes, _train_images, config_dir)
    return weigh(plan), load_data(plan.cells[0].config.data)


def _train_images(data: DataConfig) -> int:
    return len(load_data(data).train.labels)


def weigh(plan: Plan) -> Plan:
    """The plan with `Cell.weight`, from counted operations, where the axis changes the network.

    Where a network cannot be counted (it would fail, or a norm of the user's own computes what torch's meta
    device cannot), all cells weigh the same: an order that is not the best one, and nothing else. Raises
    `UsageError` for a value that the network refuses.
    """
    if not plan.axis.changes_network:
        return plan
    flops: dict[str, float] = {}
    try:
        for cell in plan.cells:
            if cell.point not in flops:
                flops[cell.point] = _flops_per_image(cell)
    except UsageError:
        raise
    except (ValueError, RuntimeError):
        return plan
    least = min(flops.values())
    return replace(plan, cells=tuple(replace(cell, weight=flops[cell.point] / least) for cell in plan.cells))


def _flops_per_image(cell: Cell) -> float:
    config, dataset = cell.config, load_data(cell.config.data)
    _, test = dataset.feeds(config.data, torch.device("cpu"))
    x, _ = next(iter(test.test_batches([slice(0, 1)])))
    counted = estimate(
        lambda: build_network(config, norm_layers(config, cell.sizes), dataset),
        tuple(x.shape[1:]),
        cell.sizes.sgd_batch_size,
    )
    return counted.flops_per_image
