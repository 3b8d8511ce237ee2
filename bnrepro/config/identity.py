"""When two configurations mean the same numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bnrepro.config.convert import to_dict
from bnrepro.config.schema import RunConfig

CANNOT_CHANGE_A_NUMBER = (
    "experiment",
    "tensorboard",
    "lock",
    "launcher",
    "sweep",
    "checkpoint",
    "probes",
    "probe_steps",
    "capture",  # replays the operations of the plain step
    "cuda_graph",  # its name in older configs
    "data.cache_dir",
    "data.download",
    "data.memory_budget_gb",
    "data.max_pixels",
    "data.stream.workers",
    "norm.label",
    "data.base_lr",  # only what optimizer.base_lr is taken from
)

_HARMLESS = tuple(f"{part}." for part in CANNOT_CHANGE_A_NUMBER)

CAME_LATER: dict[str, tuple[Any, ...]] = {
    "data.stream": (None,),
    "data.factory": (None,),
    "data.options": (None,),
    "data.test_images": (None, 360),  # 360: of digits, the only set that has a number here
    "data.task": ("classes",),
    "optimizer.beta2": (None,),
    "optimizer.eps": (None,),
    "optimizer.clip_norm": (None,),
    "model.options.init_gain": (1.0,),
    "micro_batch_size": (None,),
    "protocol.norm_batch_size": (None,),
    "compile": (False,),
    "model.factory": (None,),
    "model.options.first_stride": (1,),
    "norm.options.r_warmup_steps": (None,),
    "norm.options.affine": ("weight_and_bias",),
    "norm.options.initial_weight": (1.0,),
}
"""Keys that older configs do not have, and the values that mean the same run."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def cannot_change_a_number(key: str) -> bool:
    """Is the dotted `key` one of those that no number depends on?"""
    return f"{key}.".startswith(_HARMLESS)


def numeric_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flat part of a config dict that can change a number."""
    return {
        key: value
        for key, value in flatten(values).items()
        if not cannot_change_a_number(key) and not (key in CAME_LATER and value in CAME_LATER[key])
    }


def without_late(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values whose keys start with the prefix, less those that came later and mean the same as before."""
    return {key: value for key, value in values.items() if value not in CAME_LATER.get(f"{prefix}{key}", ())}


def config_hash(config: RunConfig) -> str:
    """Twelve hex digits over everything that can change a number."""
    text = json.dumps(numeric_part(to_dict(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two config dicts may give different numbers: `key: old -> new`."""
    before, after = numeric_part(old), numeric_part(new)
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
