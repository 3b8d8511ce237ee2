"""`probes.jsonl`: what the probes of a run measured, one object per step. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnrepro.rundir import schema
from bnrepro.rundir.files import append, json_lines, write_text
from bnrepro.rundir.reading import MIB, read_text

FILE = "probes.jsonl"
MOST_BYTES = 1024 * MIB
LINE = {"step": schema.whole(), "probe_loss": schema.nullable(schema.finite())}
"""And for every probe an object with its values."""
Line = dict[str, Any]


@dataclass
class ProbeRecord:
    """The lines of an open run; without `writes`, what a run's further processes know of them."""

    path: Path
    writes: bool
    lines: list[Line] = field(default_factory=list)

    @property
    def steps(self) -> set[int]:
        return {line["step"] for line in self.lines}

    def go_back(self, belongs: Callable[[int], bool]) -> None:
        """Keep the lines that belong to the checkpoint; later ones come again. Raises `Damaged`."""
        self.lines = [line for line in read_probes(self.path) if belongs(line["step"])]
        if self.writes:
            write_text(self.path, json_lines(self.lines))

    def append(self, line: Line) -> None:
        """Add the values of one step."""
        self.lines.append(line)
        if self.writes:
            append(self.path, json_lines([line]).encode())


def read_probes(path: Path) -> list[Line]:
    """The lines of a `probes.jsonl`; none where there is no file. Raises `Damaged`."""
    try:
        return schema.check_lines(path, read_text(path, MOST_BYTES), LINE)
    except FileNotFoundError:
        return []
