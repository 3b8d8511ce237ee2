"""The finished cells of a report: their results, where they lie, and the commands that train them alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bnrepro.analysis.results import Results
from bnrepro.analysis.table import Sweep
from bnrepro.config.errors import Damaged
from bnrepro.rundir import schema
from bnrepro.rundir.reading import MIB, read_json, read_text
from bnrepro.rundir.record import ENV
from bnrepro.rundir.result import ERROR
from bnrepro.sweep.axis import BATCH_SIZE

MOST_BYTES = 4 * MIB
ENV_FIELDS = {"command": schema.optional(schema.text())}
SWEEPS_OWN = re.compile(r"[+~]*(sweep|launcher)[.=]")
"""Overrides that say nothing of a single run."""


@dataclass(frozen=True)
class Cell:
    """A finished run."""

    sweep: Sweep
    variant: str
    planned: Mapping[str, Any]
    """Of sweep.json."""
    row: Mapping[str, Any]
    """Of the table."""
    x: float

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def norm(self) -> str:
        return str(self.row["norm"])

    @property
    def name(self) -> str:
        """Told apart from the same cell of another sweep."""
        return f"{self.id} ({self.variant})" if self.variant else self.id

    @property
    def environment(self) -> dict[str, Any]:
        """`env.json`; empty where there is none that can be believed."""
        return self._environment[0]

    @property
    def damage(self) -> str:
        """Why `env.json` cannot be believed, or nothing."""
        return self._environment[1]

    @cached_property
    def _environment(self) -> tuple[dict[str, Any], str]:
        path = self._file(ENV)
        try:
            return (schema.check(path, read_json(path, MOST_BYTES), ENV_FIELDS) if path else {}), ""
        except Damaged as error:
            return {}, str(error)

    @property
    def traceback(self) -> str:
        """`error.txt`, or why it cannot be read; empty where there is none."""
        path = self._file(ERROR)
        try:
            return read_text(path, MOST_BYTES) if path else ""
        except Damaged as error:
            return str(error)

    @property
    def command(self) -> str:
        """What trains this run alone, for a shell."""
        overrides = list(self.sweep.plan.get("overrides", ()))
        if self.sweep.kind != "run":
            overrides = [text for text in overrides if not SWEEPS_OWN.match(text) and self._applies(text)]
            overrides += [f"norm={self.norm}", f"batch_size={self.row['batch_size']}"]
            axis = self.sweep.plan.get("axis", {}).get("key", BATCH_SIZE)
            if axis != BATCH_SIZE:
                overrides.append(f"{axis}={self.planned['x']}")
            overrides.append(f"seed={self.row['seed']}")
        return shlex.join(["bnrepro", "train", *overrides, *self._config_dir()])

    def _applies(self, override: str) -> bool:
        """In a sweep `norm.KEY=` applies to the norms that have KEY."""
        key = override.lstrip("+~").partition("=")[0]
        options = self.sweep.plan.get("norm_options", {}).get(self.norm, {})
        return not key.startswith("norm.") or key.removeprefix("norm.").removeprefix("options.") in options

    def _config_dir(self) -> list[str]:
        try:
            words = shlex.split(str(self.environment.get("command", "")))
        except ValueError:
            return []
        for word, following in zip(words, [*words[1:], ""], strict=False):
            if word == "--config-dir":
                return [word, following]
            if word.startswith("--config-dir="):
                return [word]
        return []

    def _file(self, name: str) -> Path | None:
        if self.sweep.kind == "kept":
            return None
        path = self.sweep.run_directory(self.id) / name
        return path if path.exists() else None


def find_cells(results: Results) -> list[Cell]:
    """Each finished cell once, in the order of the table."""
    places: dict[tuple[str, str, str], tuple[Sweep, Mapping[str, Any]]] = {}
    for sweep, variant, table in zip(results.sweeps, results.variants.values, results.tables, strict=True):
        planned = {cell["id"]: cell for cell in sweep.cells}
        for cell, status in zip(table["id"], table["status"], strict=True):
            places.setdefault((variant, cell, status), (sweep, planned[cell]))
    cells = []
    for row in results.table.to_dict("records"):
        variant = row.get("variant", "")
        sweep, cell = places[variant, row["id"], row["status"]]
        cells.append(Cell(sweep, variant, cell, row, float(row[results.axis.column])))
    return cells
