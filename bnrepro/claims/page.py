"""What `bnrepro claims` writes: `claims.json` with every number, `claims.md` to read, a figure per claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnrepro.analysis.style import render
from bnrepro.claims.found import Found
from bnrepro.claims.run import Judged
from bnrepro.claims.verdict import together
from bnrepro.rundir.files import make_directory, write_bytes, write_json, write_text

JSON, MARKDOWN = "claims.json", "claims.md"
FORMATS = ("png", "svg")
SHOWN = ("bnrepro", "commit", "dirty", "python", "versions", "device")
"""Of an environment: what every number needs beside it."""


def write_claims(
    judged: Sequence[Judged],
    found: Mapping[str, Found],
    directory: Path,
    environment: Mapping[str, Any],
) -> list[Path]:
    """Write all of it; the paths. `environment`: versions, commit and device, as in `env.json`."""
    known = {key: environment[key] for key in SHOWN}
    written = [directory / JSON, directory / MARKDOWN]
    make_directory(directory)
    report = {"schema": 1, "environment": known, "claims": [_claim(one, found) for one in judged]}
    write_json(written[0], report)
    for one in judged:
        figure = one.claim.draw(found)
        for extension in FORMATS:
            written.append(directory / f"{figure_name(one.claim.id)}.{extension}")
            write_bytes(written[-1], render(figure, extension))
    write_text(written[1], markdown(judged, known))
    return written


def figure_name(claim_id: str) -> str:
    return f"claim_{claim_id.replace('.', '_')}"


def _claim(one: Judged, found: Mapping[str, Found]) -> dict[str, Any]:
    names = [experiment.name for round in one.claim.rounds for experiment in round(found)]
    return {
        "id": one.claim.id,
        "title": one.claim.title,
        "text": one.claim.text,
        "published": one.claim.published,
        "notes": list(one.claim.notes),
        "verdict": together(one.parts),
        "parts": [{**vars(part), "numbers": dict(part.numbers)} for part in one.parts],
        "experiments": {
            name: found[name].experiment.command(Path(name), found[name].first_seed) for name in names
        },
    }


def table(judged: Sequence[Judged]) -> str:
    """A line per claim, as Markdown: what the README shows."""
    lines = ["| claim | verdict | what was found |", "|---|---|---|"]
    for one in judged:
        first = one.parts[0]
        found = f"{first.name}: {first.found}"
        lines.append(f"| {one.claim.id} {one.claim.title} | **{together(one.parts)}** | {found} |")
    return "\n".join(lines)


def markdown(judged: Sequence[Judged], environment: Mapping[str, Any]) -> str:
    """The whole page."""
    commit = (environment["commit"] or "no commit")[:10] + (" with changes" if environment["dirty"] else "")
    head = [
        "# The claims about batch normalization, tested",
        "",
        f"Made by `bnrepro claims`; bnrepro {environment['bnrepro']} ({commit}), torch "
        f"{environment['versions']['torch']}, Python {environment['python']}, {environment['device']}. "
        "Intervals are 95 % t-intervals over seeds. Every criterion stood in the code before the seeds that "
        "judge it were run; rates were chosen on other seeds.",
        "",
        table(judged),
    ]
    return "\n".join([*head, *(line for one in judged for line in _section(one))]) + "\n"


def _section(one: Judged) -> list[str]:
    claim = one.claim
    parts = [f"| {p.name} | {p.criterion} | **{p.verdict}** | {p.found} |" for p in one.parts]
    return [
        "",
        f"## {claim.id} {claim.title}: {together(one.parts)}",
        "",
        claim.text,
        "",
        f"*Published:* {claim.published}",
        "",
        "| part | criterion | verdict | found |",
        "|---|---|---|---|",
        *parts,
        "",
        f"![{claim.title}]({figure_name(claim.id)}.png)",
        *(line for note in claim.notes for line in ("", note)),
    ]
