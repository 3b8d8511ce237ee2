"""The x axis of a sweep: a numeric key of the config, and its values. Imports no torch."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnrepro.config.convert import convert_value, key_types, unknown_key
from bnrepro.config.errors import UsageError, check_choice
from bnrepro.config.identity import cannot_change_a_number
from bnrepro.config.schema import RunConfig

Number = int | float
BATCH_SIZE = "batch_size"
SCALES = ("log2", "log10", "linear")
WIDE = 8
"""Positive values whose largest is so many times the smallest are drawn on a logarithmic scale."""
ROUNDING_ONLY = ("threads", "micro_batch_size", "evaluation.batch_size", "evaluation.every")
"""Keys that are part of a run, but move its error by rounding or not at all."""
IDLE = {
    "protocol.workers": ("protocol.name", ("coupled", "fixed_sgd"), "protocol=workers"),
    "schedule.gamma": ("schedule.name", ("cosine",), "schedule=step"),
    "schedule.warmup_above_lr": ("schedule.warmup_epochs", (0,), "schedule.warmup_epochs above 0"),
    "data.subset_seed": ("data.train_subset", (None,), "data.train_subset=N"),
    "data.padding": ("data.augment", ("none",), "data.augment=crop"),
}
"""Key -> the other key and its values under which this one does nothing, and what makes it count."""


@dataclass(frozen=True)
class Axis:
    """The key that a sweep goes over. Everything that names, orders or draws cells takes it from here."""

    key: str
    """As in an override: `batch_size`, `optimizer.base_lr`, `model.depth`, `norm.groups`."""
    short: str
    """In the names of cells: `b`, `base_lr`."""
    label: str
    """Below the figure."""
    scale: str
    """`log2`, `log10` or `linear`."""
    values: tuple[Number, ...]

    def put(self, config: RunConfig, value: Number) -> RunConfig:
        """`config` with `value` at the key, which must be there; ranges are not looked at.

        Raises `UsageError` for a key that does not exist or is not a number, and for a value of another type.
        """
        return _put(config, self.key.split("."), value, self.key)

    def take(self, value: Number, config: RunConfig) -> Number:
        """`value` as `put` leaves it in `config`: `1` of a key that is a float is 1.0."""
        return _get(self.put(config, value), self.key)

    @property
    def is_batch_size(self) -> bool:
        """Is it the one axis with shared cells, published points and lockstep across its values?"""
        return self.key == BATCH_SIZE

    @property
    def changes_data(self) -> bool:
        """Does every value have a training set of its own?"""
        return self.key.startswith("data.")

    @property
    def changes_network(self) -> bool:
        """Does an image cost another number of operations at every value?"""
        return self.key.startswith(("model.", "data."))


def make_axis(key: str, values: Sequence[Number], scale: str | None = None) -> Axis:
    """An axis with the key's usual short name, label and scale. Raises `UsageError` for no such scale."""
    if key == BATCH_SIZE:
        if scale not in (None, "log2"):
            raise UsageError(f"--scale {scale}: batch_size is drawn in log2; leave it out")
        return Axis(key, "b", "batch_size (images per worker)", "log2", tuple(values))
    if scale is not None:
        check_choice("--scale", scale, SCALES)
    if scale in ("log2", "log10") and (low := [value for value in values if value <= 0]):
        raise UsageError(f"--scale {scale}: cannot show {number_text(low[0])}; choose linear")
    return Axis(key, key.rpartition(".")[2], key, scale or usual_scale(values), tuple(values))


def read_axis(sweep: Mapping[str, Any]) -> Axis:
    """The axis of a `sweep.json`: of schema 1 the batch size."""
    if "axis" not in sweep:
        return make_axis(BATCH_SIZE, sweep["batch_sizes"])
    axis = sweep["axis"]
    return Axis(axis["key"], axis["short"], axis["label"], axis["scale"], tuple(axis["values"]))


def cell_x(cell: Mapping[str, Any]) -> Number:
    """Where a cell of `sweep.json` stands on its axis."""
    return cell["x"] if "x" in cell else cell["batch_size"]


def usual_scale(values: Sequence[Number]) -> str:
    """Logarithmic for positive values that span a factor of 8: to base 2 where all steps are powers of 2."""
    if min(values) <= 0 or max(values) < WIDE * min(values):
        return "linear"
    ratios = [float(value) / float(min(values)) for value in values]
    return "log2" if all(_is_power_of_2(ratio) for ratio in ratios) else "log10"


def _is_power_of_2(ratio: float) -> bool:
    mantissa, _ = float.hex(ratio).split("p")
    return mantissa == "0x1.0000000000000"


def number_text(value: Number) -> str:
    """The shortest text of a number, which no other one has: `4`, `0.1`, `1e-05`; 2.0 is `2`."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def point_name(norm: str, short: str, x: Number) -> str:
    """What the seeds of a cell have in common: `bn-b4`, `bn-base_lr0.1`."""
    return f"{norm}-{short}{number_text(x)}"


def cell_name(norm: str, short: str, x: Number, seed: int) -> str:
    """The name of a cell and of its directory: `bn-b4-s0`, `bn-base_lr0.1-s0`."""
    return f"{point_name(norm, short, x)}-s{seed}"


def check_key(key: str, config: RunConfig) -> None:
    """Raises `UsageError` for a key that cannot change a number under `config`, whatever its value."""
    if key == "seed":
        raise UsageError("seed: every sweep has seeds; give them with --seeds")
    if cannot_change_a_number(key):
        raise UsageError(f"{key}: cannot change a number; nothing to sweep over")
    if key in ROUNDING_ONLY:
        raise UsageError(f"{key}: changes an error by rounding or not at all; nothing to sweep over")
    if key in IDLE:
        other, values, needed = IDLE[key]
        if _get(config, other) in values:
            raise UsageError(f"{key}: does nothing here; it needs {needed}")


def _put(node: Any, path: Sequence[str], value: Number, key: str) -> Any:
    name, *rest = path
    hints = dict(key_types(typing.cast(Any, type(node))))
    options = hints.pop("options", None) and node.options
    if name in hints:
        old = getattr(node, name)
        if rest and dataclasses.is_dataclass(old):
            new = _put(old, rest, value, key)
        elif rest:
            raise UsageError(
                f"{key}: no such key; {'.'.join([*key.split('.')[: -len(rest)]])} has none below"
            )
        else:
            new = _number(hints[name], value, key)
        return dataclasses.replace(node, **{name: new})
    if options is None or name not in options or rest:
        raise UsageError(unknown_key(key, name, [*hints, *(options or ())]))
    return dataclasses.replace(node, options={**options, name: _option(options[name], value, key)})


def _number(hint: Any, value: Number, key: str) -> Number:
    if not {int, float} & {hint, *typing.get_args(hint)} or typing.get_origin(hint) is tuple:
        raise UsageError(f"{key}: is not a number; a sweep goes over numeric keys")
    return convert_value(hint, value, key)


def _option(old: Any, value: Number, key: str) -> Number:
    """The type is that of the YAML, which may also say `auto` or null for a number."""
    if isinstance(old, bool) or (isinstance(old, str) and old != "auto"):
        raise UsageError(f"{key}: is not a number; a sweep goes over numeric keys")
    if old is None:
        return value
    if old == "auto" and not isinstance(value, int):
        raise UsageError(f"{key}={value}: must be auto or a whole number")
    return value if old == "auto" else convert_value(type(old), value, key)


def _get(config: RunConfig, key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        options = getattr(node, "options", None) or {}
        node = options[name] if name in options else getattr(node, name)
    return node
