"""Ranges and choices: what the types of the schema cannot say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from bnrepro.config.errors import UsageError, check_choice, shown
from bnrepro.config.schema import OptimizerConfig, RunConfig, StreamConfig

STATISTICS = ("running", "precise", "batch")
"""What batch norm may use at evaluation (`bnrepro/README.md`, the words)."""
AUGMENTATIONS = ("none", "crop", "crop_flip")
PROTOCOLS = ("coupled", "workers", "fixed_sgd")
MOST = 2**31 - 1
"""Of whole numbers that count something: what the libraries below take."""
MOST_THREADS = 4096
LARGEST_SEED = 2**63 - 1
"""Tables keep seeds in 64 bits."""
LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes."""


def validate(config: RunConfig) -> None:
    """Raises `UsageError` for the first value that cannot be."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", config.device):
        raise UsageError(f"device={shown(config.device)}: choices: auto, cpu, cuda, cuda:N, mps")
    check_choice("lock", config.lock, ("on", "off"))
    check_choice("precision", config.precision, ("float32", "bf16"))
    check_choice("data.augment", config.data.augment, AUGMENTATIONS)
    check_choice("protocol.name", config.protocol.name, PROTOCOLS)
    check_choice("optimizer.name", config.optimizer.name, ("sgd", "adam"))
    check_choice("data.task", config.data.task, ("classes", "parity"))
    check_choice("optimizer.scaling", config.optimizer.scaling, ("linear", "sqrt", "none"))
    check_choice("schedule.name", config.schedule.name, ("cosine", "step"))
    for statistic in config.evaluation.statistics:
        check_choice("evaluation.statistics", statistic, STATISTICS)
    for key, path in (("data.root", config.data.root), ("data.cache_dir", config.data.cache_dir)):
        if reason := impossible_path(path or ""):
            raise UsageError(f"{key}={shown(path)}: {reason}")
    _check_numbers(config)
    _check_schedule(config)
    _check_optimizer(config.optimizer)
    if config.data.stream is not None:
        _check_stream(config.data.stream)
    _check_protocol(config)


def _check_protocol(config: RunConfig) -> None:
    protocol = config.protocol
    if protocol.name == "fixed_sgd" and protocol.sgd_batch_size is None:
        raise UsageError("protocol.sgd_batch_size=null: fixed_sgd needs a number, as 256")
    if protocol.name != "fixed_sgd" and protocol.sgd_batch_size is not None:
        raise UsageError(
            f"protocol.sgd_batch_size={protocol.sgd_batch_size}: only fixed_sgd has it; "
            f"{protocol.name} derives it from batch_size"
        )
    if protocol.norm_batch_size is None:
        return
    given = f"protocol.norm_batch_size={protocol.norm_batch_size}"
    if protocol.name != "coupled":
        raise UsageError(f"{given}: only coupled has it; in {protocol.name} it is batch_size")
    if config.micro_batch_size is not None:
        raise UsageError(f"{given}: needs all its images in one forward pass; leave micro_batch_size out")


def _check_numbers(config: RunConfig) -> None:
    at_least: list[tuple[str, float | None, float]] = [
        ("batch_size", config.batch_size, 1),
        ("epochs", config.epochs, 1),
        ("threads", config.threads, 1),
        ("micro_batch_size", config.micro_batch_size, 1),
        ("seed", config.seed, 0),
        ("data.test_images", config.data.test_images, 1),
        ("data.train_subset", config.data.train_subset, 1),
        ("data.subset_seed", config.data.subset_seed, 0),
        ("data.max_pixels", config.data.max_pixels, 1),
        ("data.image_size", config.data.image_size, 1),
        ("data.padding", config.data.padding, 0),
        ("protocol.workers", config.protocol.workers, 1),
        ("protocol.sgd_batch_size", config.protocol.sgd_batch_size, 1),
        ("protocol.norm_batch_size", config.protocol.norm_batch_size, 1),
        ("optimizer.momentum", config.optimizer.momentum, 0),
        ("optimizer.weight_decay", config.optimizer.weight_decay, 0),
        ("schedule.warmup_epochs", config.schedule.warmup_epochs, 0),
        ("schedule.warmup_above_lr", config.schedule.warmup_above_lr, 0),
        ("evaluation.every", config.evaluation.every, 0),
        ("evaluation.precise_images", config.evaluation.precise_images, 1),
        ("evaluation.batch_size", config.evaluation.batch_size, 1),
        *(("probe_steps", step, 0) for step in config.probe_steps or ()),
        *(("sweep.batch_sizes", size, 1) for size in config.sweep.batch_sizes),
        *(("sweep.seeds", seed, 0) for seed in config.sweep.seeds),
    ]
    _check_least(at_least)
    _check_most((key, number) for key, number, _ in at_least)
    above: list[tuple[str, float]] = [
        ("optimizer.base_lr", config.optimizer.base_lr),
        ("data.memory_budget_gb", config.data.memory_budget_gb),
        ("checkpoint.every_minutes", config.checkpoint.every_minutes),
        ("schedule.gamma", config.schedule.gamma),
    ]
    for key, number in above:
        if not number > 0:
            raise UsageError(f"{key}={number:g}: must be above 0")


def _check_least(at_least: Iterable[tuple[str, float | None, float]]) -> None:
    for key, value, least in at_least:
        if value is not None and not value >= least:
            raise UsageError(f"{key}={shown(value)}: must be {least:g} or more")


def _check_most(numbers: Iterable[tuple[str, float | None]]) -> None:
    most = {"threads": MOST_THREADS, "seed": LARGEST_SEED, "data.subset_seed": LARGEST_SEED}
    most["sweep.seeds"] = LARGEST_SEED
    for key, value in numbers:
        if value is not None and value > most.get(key, MOST):
            raise UsageError(f"{key}={shown(value)}: must be at most {most.get(key, MOST)}")


def impossible_path(path: str | Path) -> str:
    """Why no file system can have this path, or nothing."""
    longest = max((len(os.fsencode(part)) for part in Path(path).parts), default=0)
    if longest > LONGEST_NAME:
        return f"a name of {longest} bytes; file systems take {LONGEST_NAME}"
    size = len(os.fsencode(path))
    return f"a path of {size:,} bytes; Linux takes {LONGEST_PATH:,}" if size > LONGEST_PATH else ""


def _check_stream(stream: StreamConfig) -> None:
    check_choice("data.stream.feed", stream.feed, ("torch", "dali"))
    at_least: list[tuple[str, float | None, float]] = [
        ("data.stream.workers", stream.workers, 0),
        ("data.stream.crop_size", stream.crop_size, 1),
        ("data.stream.resize_size", stream.resize_size, stream.crop_size),
        ("data.stream.jitter", stream.jitter, 0),
        ("data.stream.lighting", stream.lighting, 0),
    ]
    _check_least(at_least)
    _check_most((key, number) for key, number, _ in at_least)
    if not 0 < stream.min_area <= 1:
        raise UsageError(f"data.stream.min_area={stream.min_area:g}: must be above 0 and at most 1")


def _check_schedule(config: RunConfig) -> None:
    schedule = config.schedule
    if schedule.warmup_epochs >= config.epochs and schedule.warmup_epochs > 0:
        raise UsageError(
            f"schedule.warmup_epochs={schedule.warmup_epochs:g}: must be below epochs={config.epochs}"
        )
    if list(schedule.milestones) != sorted(schedule.milestones):
        raise UsageError(f"schedule.milestones={list(schedule.milestones)}: must rise")


def _check_optimizer(optimizer: OptimizerConfig) -> None:
    if optimizer.nesterov and (optimizer.momentum == 0 or optimizer.name != "sgd"):
        raise UsageError("optimizer.nesterov=true: needs optimizer=sgd and optimizer.momentum above 0")
    if optimizer.clip_norm is not None and not optimizer.clip_norm > 0:
        raise UsageError(f"optimizer.clip_norm={optimizer.clip_norm:g}: must be above 0, or null")
    own = {"optimizer.beta2": optimizer.beta2, "optimizer.eps": optimizer.eps}
    for key, value in own.items():
        if (value is None) == (optimizer.name == "adam"):
            raise UsageError(f"{key}={shown(value)}: is adam's, which needs it; other optimizers have null")
    if optimizer.beta2 is not None and not (0 <= optimizer.beta2 < 1 and optimizer.momentum < 1):
        raise UsageError(f"optimizer.beta2={optimizer.beta2:g}: it and optimizer.momentum must be below 1")
    if optimizer.eps is not None and not optimizer.eps > 0:
        raise UsageError(f"optimizer.eps={optimizer.eps:g}: must be above 0")
