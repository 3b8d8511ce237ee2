"""A single run's directory as a sweep of one cell, which `status` and `plot` take. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged, UsageError
from bnrepro.rundir import schema
from bnrepro.rundir.reading import read_text, read_yaml
from bnrepro.rundir.record import CONFIG, CONFIG_BYTES, METRICS, OVERRIDES, read_metrics
from bnrepro.rundir.result import read_result

NOT_BASE = ("norm", "batch_size", "seed", "sweep", "launcher")
FIELDS = {
    "experiment": schema.text(),
    "epochs": schema.whole(1),
    "batch_size": schema.whole(1),
    "seed": schema.whole(),
    "norm": schema.group(),
    "protocol": schema.group(),
    "model": schema.group(),
}
PROTOCOL_FIELDS = {
    "name": schema.text(),
    "workers": schema.whole(1),
    "sgd_batch_size": schema.nullable(schema.whole(1)),
}


def is_single_run(directory: Path) -> bool:
    return (directory / CONFIG).is_file()


def run_as_sweep(directory: Path) -> dict[str, Any]:
    """What `sweep.json` would say. Raises `UsageError` for a `config.yaml` that is not one."""
    config = _read_config(directory)
    result = read_result(directory, {}) or {}
    protocol, norm = config["protocol"], config["norm"]
    sgd = protocol["sgd_batch_size"] or protocol["workers"] * config["batch_size"]
    sizes = {
        "workers": result.get("workers", sgd // config["batch_size"]),
        "sgd_batch_size": result.get("sgd_batch_size", sgd),
        "norm_batch_size": result.get("norm_batch_size"),
    }
    return {
        "schema": 1,
        "experiment": config["experiment"],
        "protocol": protocol["name"],
        "reference": None,
        "base": {key: value for key, value in config.items() if key not in NOT_BASE},
        "norms": [norm["name"]],
        "batch_sizes": [config["batch_size"]],
        "seeds": [config["seed"]],
        "norm_options": {norm["name"]: norm.get("options", {})},
        "norm_labels": {norm["name"]: norm.get("label")},
        "overrides": _overrides(directory),
        "cells": [
            {
                "id": f"{norm['name']}-b{config['batch_size']}-s{config['seed']}",
                "norm": norm["name"],
                "batch_size": config["batch_size"],
                "seed": config["seed"],
                "config_hash": result.get("config_hash", ""),
                "shared": False,
                "steps": _steps(directory, config["epochs"]),
                **sizes,
            }
        ],
    }


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG
    try:
        config = schema.check(path, read_yaml(path, CONFIG_BYTES), FIELDS)
        schema.check(path, config["norm"], {"name": schema.text()}, where="norm.")
        schema.check(path, config["protocol"], PROTOCOL_FIELDS, where="protocol.")
    except Damaged as error:
        raise UsageError(f"{error}: is not the config of a run; give a run's or a sweep's --out") from error
    return config


def _overrides(directory: Path) -> list[str]:
    try:
        return read_text(directory / OVERRIDES, CONFIG_BYTES).splitlines()
    except (FileNotFoundError, Damaged):
        return []


def _steps(directory: Path, epochs: int) -> int:
    """Of the whole run, by the first evaluation; 0 where there is none yet."""
    first = next(iter(read_metrics(directory / METRICS)), None)
    return first["step"] // first["epoch"] * epochs if first else 0
