"""A folder of `results/`: what is committed of a sweep, and enough to draw it again.

`sweep.json` as the sweep has it, `table.csv` with a row per finished cell, and `metrics.csv` with a row per
evaluation instead of the run directories.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir.reading import MIB, read_text
from bnrepro.rundir.result import STATUSES

TABLE, METRICS = "table.csv", "metrics.csv"
METRICS_COLUMNS = (
    "id",
    "epoch",
    "step",
    "lr",
    "loss",
    "train_error",
    *(f"error_{name}" for name in STATISTICS),
)
PLACES = ("data.root=", "data.cache_dir=")
MOST_BYTES = 256 * MIB
NUMBERS = ("batch_size", "seed", "sgd_batch_size", "workers", "epochs")
TEXTS = ("id", "norm", "status", "protocol", "model", "data", "config_hash")


def read_rows(folder: Path, cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `table.csv`, in the order of the plan's `cells`.

    Raises `UsageError` for a row that cannot be, and for one of another config than its cell.
    """
    path = folder / TABLE
    rows = {}
    for line, texts in enumerate(_read_csv(path), 2):
        try:
            values = {key: _value(key, text) for key, text in texts.items()}
            row = {key: value for key, value in values.items() if value is not None}
            _check(row)
        except (KeyError, SyntaxError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path}, line {line}: cannot be ({error}); write it again with `plot`"
            ) from error
        rows[row["id"]] = row
    hashes = {cell["id"]: cell["config_hash"] for cell in cells}
    for name, row in rows.items():
        if row["config_hash"] != hashes.get(name):
            raise UsageError(
                f"{path}: cell {name}: is not of the config in sweep.json (config_hash "
                f"{row['config_hash']}); write both again with `plot`"
            )
    return [rows[name] for name in hashes if name in rows]


def read_metrics(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """`metrics.csv`: cell id -> its lines, as in metrics.jsonl; empty where there is no such file."""
    path = folder / METRICS
    runs: dict[str, list[dict[str, Any]]] = {}
    if not path.exists():
        return runs
    for number, row in enumerate(_read_csv(path), 2):
        try:
            line: dict[str, Any] = {"epoch": int(row["epoch"]), "step": int(row["step"])}
            line |= {key: float(row[key]) for key in METRICS_COLUMNS[3:6] if row[key]}
            errors = {name: row[f"error_{name}"] for name in STATISTICS}
            line["error"] = {name: _percent(text) for name, text in errors.items() if text}
            runs.setdefault(row["id"], []).append(line)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path}, line {number}: cannot be ({error}); write it again with `plot`"
            ) from error
    return runs


def write_metrics(runs: Iterable[tuple[str, Sequence[Mapping[str, Any]]]]) -> str:
    """The text of `metrics.csv`: for each cell its id and the lines of its metrics.jsonl."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(METRICS_COLUMNS)
    for cell_id, lines in runs:
        for line in lines:
            errors = [line["error"].get(name) for name in STATISTICS]
            writer.writerow([cell_id, *(line.get(key) for key in METRICS_COLUMNS[1:6]), *errors])
    return text.getvalue()


def one_plan(plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One `sweep.json` of sweeps of one config, without the folders of the machine that they ran on."""
    plan = copy.deepcopy(dict(plans[0]))
    for other in plans[1:]:
        for key in ("norms", "batch_sizes", "seeds"):
            if key in plan:
                plan[key] = list(dict.fromkeys([*plan[key], *other.get(key, ())]))
        if "axis" in plan:
            values = {*plan["axis"]["values"], *other["axis"]["values"]}
            plan["axis"] = {**plan["axis"], "values": sorted(values)}
        for key in ("norm_options", "norm_labels"):
            plan[key] = {**other.get(key, {}), **plan.get(key, {})}
        plan["cells"] = list({cell["id"]: cell for cell in (*other["cells"], *plan["cells"])}.values())
    data = plan["base"].get("data", {})
    data |= {"root": data["root"] and Path(data["root"]).name} if "root" in data else {}
    data |= {"cache_dir": None} if "cache_dir" in data else {}
    plan["overrides"] = [
        text for text in plan.get("overrides", ()) if not text.lstrip("+").startswith(PLACES)
    ]
    return plan


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(read_text(path, MOST_BYTES), newline="")))
    except (FileNotFoundError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error


def _value(key: str, text: str) -> Any:
    """As result.json had it."""
    if key == "message":
        return text
    if text == "":
        return None
    if key in TEXTS:
        return text
    if key == "shared":
        return {"True": True, "False": False}[text]
    if text.startswith("["):
        return ast.literal_eval(text)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _percent(text: Any) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= 100):
        raise ValueError(f"{text} is not a percentage from 0 to 100")
    return value


def _check(row: Mapping[str, Any]) -> None:
    if row["status"] not in STATUSES:
        raise ValueError(f"status {row['status']!r} is not one of {', '.join(STATUSES)}")
    for name in STATISTICS:
        _percent(row.get(f"error_{name}", 0))
    for key in NUMBERS:
        if not isinstance(row[key], int):
            raise ValueError(f"{key} {row[key]!r} is not a whole number")
