"""The configs behind a sweep: Hydra composes once for the base and once per norm, never per cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnrepro.config.compose import compose_config, norm_options
from bnrepro.config.convert import to_dict, unknown_key
from bnrepro.config.errors import UsageError, shown
from bnrepro.config.files import choices
from bnrepro.config.identity import difference
from bnrepro.config.schema import RunConfig
from bnrepro.sweep.axis import BATCH_SIZE, Axis, number_text


def axis_options(key: str = BATCH_SIZE) -> dict[str, str]:
    """The keys that are axes of a sweep over `key`, and the options that give them."""
    options = {"norm": "--norms", "seed": "--seeds", "sweep.norms": "--norms", "sweep.seeds": "--seeds"}
    if key == BATCH_SIZE:
        return options | {BATCH_SIZE: "--batch-sizes", "sweep.batch_sizes": "--batch-sizes"}
    return options | {key: "--values"}


def compose_base(overrides: Sequence[str], config_dir: Path | None, key: str = BATCH_SIZE) -> RunConfig:
    """The config without its norm's options. Raises `UsageError` for an override that is an axis."""
    options = axis_options(key)
    for override in overrides:
        given = override.split("=")[0].lstrip("+~")
        if given in options:
            raise UsageError(f"{override}: is an axis of the sweep; give it with {options[given]}")
    return compose_config([o for o in overrides if not _norm_option(o)], config_dir)


def compose_norms(
    overrides: Sequence[str], norms: Sequence[str], axis: Axis, config_dir: Path | None
) -> dict[str, RunConfig]:
    """Each norm's config, with the `norm.KEY=` overrides whose KEY it has.

    Raises `UsageError` for a `norm.KEY` that no norm has, for a norm without the axis's, and where other keys
    are computed from the axis's.
    """
    _check_norms(norms, config_dir)
    options = {norm: norm_options(norm, config_dir) for norm in norms}
    known = {key for keys in options.values() for key in keys}
    for override in [*overrides, f"{axis.key}="]:
        key = _norm_option(override)
        if key is not None and key not in known:
            raise UsageError(unknown_key(f"norm.{key}", key, known) + f" (norms {', '.join(norms)})")
    _refuse_without(axis, options)
    fitting = {
        norm: [f"norm={norm}", *(o for o in overrides if (_norm_option(o) or "") in ("", *options[norm]))]
        for norm in norms
    }
    configs = {norm: compose_config(chosen, config_dir) for norm, chosen in fitting.items()}
    if not axis.is_batch_size:
        first = norms[0]
        _refuse_computed(axis, configs[first], fitting[first], config_dir)
    return configs


def _check_norms(norms: Sequence[str], config_dir: Path | None) -> None:
    there = choices("norm", config_dir)
    for norm in norms:
        if norm not in there:
            raise UsageError(
                f"--norms {shown(','.join(norms))}: no norm {shown(norm)}; choices: {', '.join(there)}"
            )


def _norm_option(override: str) -> str | None:
    match = re.match(r"[+]{0,2}norm\.(\w+)=", override)
    return match.group(1) if match else None


def _refuse_without(axis: Axis, options: Mapping[str, Sequence[str]]) -> None:
    key = _norm_option(f"{axis.key}=")
    if key is not None and (without := [norm for norm, keys in options.items() if key not in keys]):
        having = ",".join(norm for norm in options if norm not in without)
        raise UsageError(f"{axis.key}: {', '.join(without)} has no such option; give --norms {having}")


def _refuse_computed(
    axis: Axis, config: RunConfig, overrides: Sequence[str], config_dir: Path | None
) -> None:
    """A cell means what the same override means: also where the YAML computes other keys from this one."""
    value = axis.values[-1]
    put = axis.put(config, value)
    composed = compose_config([*overrides, f"{axis.key}={number_text(value)}"], config_dir)
    if changed := difference(to_dict(put), to_dict(composed)):
        raise UsageError(
            f"{axis.key}: other keys depend on it ({'; '.join(changed)}); sweep over one of them"
        )
