"""`bnrepro report`: from directories to one HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

import bnrepro
from bnrepro.analysis.report.claims import Claims, is_claims, read_claims
from bnrepro.analysis.report.sweep_page import SweepPage, make_sweep_page
from bnrepro.config.errors import StorageError, UsageError, printable
from bnrepro.rundir.files import make_directory, write_text

NAME = "report.html"
KEPT = "\n\u00a0"
"""Signs that pages may have, though they are not printable: line ends, and spaces at which no line ends."""
TEMPLATES = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Report:
    """The file, and whether something was left out that cannot be believed."""

    path: Path
    damaged: list[str]


def write_report(directories: Sequence[Path], out: Path | None = None) -> Report:
    """Write the page of sweeps, of single runs and of what `bnrepro claims` wrote.

    `out` defaults to `report.html` in the one directory given. Raises `UsageError` where nothing is finished,
    for sweeps that do not go together, and for what is none of these.
    """
    if out is None and len(directories) > 1:
        raise UsageError(f"--out: needed with {len(directories)} directories; name the file to write")
    path = out or directories[0] / NAME
    claims = [read_claims(directory) for directory in directories if is_claims(directory)]
    sweeps = [directory for directory in directories if not is_claims(directory)]
    sweep = make_sweep_page(sweeps) if sweeps else None
    command = shlex.join(["bnrepro", "report", *map(str, directories), *(["--out", str(out)] if out else [])])
    content = render_page(claims, sweep, command)
    try:
        make_directory(path.parent)
    except StorageError as error:
        raise UsageError(f"--out {error}; or choose another") from error
    write_text(path, content)
    return Report(path, sweep.damaged if sweep else [])


def render_page(claims: Sequence[Claims], sweep: SweepPage | None, command: str) -> str:
    """The whole file."""
    page: dict[str, Any] = {"charts": {}, "dark": {}, "details": {}, "commands": []}
    if sweep is not None:
        page = {
            "charts": {chart.name: chart.as_json() for chart in sweep.charts},
            "dark": sweep.dark,
            "details": sweep.details.items,
            "commands": sweep.details.commands,
        }
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment.get_template("page.html").render(
        title=sweep.title if sweep else "bnrepro: claims",
        all_claims=claims,
        sweep=sweep,
        page=page,
        colors=sweep.colors if sweep else {},
        axis_key=sweep.axis_key if sweep else "",
        axis_label=sweep.axis_label if sweep else "",
        command=command,
        version=bnrepro.__version__,
        plotly=get_plotlyjs() if page["charts"] else "",
    )


def _shown(value: Any) -> Any:
    """What a file or a user says may have anything in it."""
    return printable(value, keep=KEPT) if isinstance(value, str) and not isinstance(value, Markup) else value
