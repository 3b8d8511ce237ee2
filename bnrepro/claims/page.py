"""What `bnrepro claims` writes: `claims.json` with every number, `claims.md` to read, a figure per claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnrepro.analysis.report.claims import JSON, headline, is_claims, read_values
from bnrepro.analysis.style import render
from bnrepro.claims.claim import CLAIMS
from bnrepro.claims.found import Found
from bnrepro.claims.run import Judged
from bnrepro.claims.verdict import together
from bnrepro.config.errors import UsageError
from bnrepro.rundir.files import make_directory, write_bytes, write_json, write_text

MARKDOWN = "claims.md"
FORMATS = ("png", "svg")
SHOWN = ("bnrepro", "commit", "dirty", "python", "versions", "device")
"""Of an environment: what every number needs beside it."""

Entry = Mapping[str, Any]
"""A claim as `claims.json` has it."""


def judged_before(directory: Path, data: str) -> list[Entry]:
    """The claims in the directory's `claims.json`, which stay. Raises `Damaged` and `UsageError`."""
    if not is_claims(directory):
        return []
    values = read_values(directory)
    if values.get("data", data) != data:
        raise UsageError(f"--data {data}: {directory} has claims on {values['data']}; choose another --out")
    return list(values["claims"])


def write_claims(
    judged: Sequence[Judged],
    found: Mapping[str, Found],
    directory: Path,
    environment: Mapping[str, Any],
    data: str,
) -> list[Path]:
    """Write all of it, beside the claims that were judged before; the paths.

    `environment`: versions, commit and device, as in `env.json`. `data`: what the claims were tested on.
    """
    known = {key: environment[key] for key in SHOWN}
    before = {entry["id"]: entry for entry in judged_before(directory, data)}
    entries = before | {one.claim.id: _entry(one, found, known) for one in judged}
    ordered = [entries[id] for id in CLAIMS if id in entries]
    make_directory(directory)
    written = [directory / JSON, directory / MARKDOWN]
    write_json(written[0], {"schema": 1, "environment": known, "data": data, "claims": ordered})
    for one in judged:
        figure = one.claim.draw(found)
        for extension in FORMATS:
            written.append(directory / f"{figure_name(one.claim.id)}.{extension}")
            write_bytes(written[-1], render(figure, extension))
    write_text(written[1], markdown(ordered, known, data))
    return written


def figure_name(claim_id: str) -> str:
    return f"claim_{claim_id.replace('.', '_')}"


def _entry(one: Judged, found: Mapping[str, Found], environment: Mapping[str, Any]) -> dict[str, Any]:
    asked = [experiment.name for round in one.claim.rounds for experiment in round(found)]
    names = [name for name in asked if name in found]
    return {
        "id": one.claim.id,
        "title": one.claim.title,
        "text": one.claim.text,
        "published": one.claim.published,
        "notes": list(one.claim.notes),
        "verdict": together(one.parts),
        "commit": _commit(environment),
        "parts": [{**vars(part), "numbers": dict(part.numbers)} for part in one.parts],
        "experiments": {
            name: found[name].experiment.command(Path(name), found[name].first_seed) for name in names
        },
    }


def _commit(environment: Mapping[str, Any]) -> str:
    return (environment["commit"] or "no commit")[:10] + (" with changes" if environment["dirty"] else "")


def table(entries: Iterable[Entry]) -> str:
    """A line per claim, as Markdown: what the README shows."""
    lines = ["| claim | verdict | what was found |", "|---|---|---|"]
    for entry in entries:
        lines.append(f"| {entry['id']} {entry['title']} | **{entry['verdict']}** | {headline(entry)} |")
    return "\n".join(lines)


def markdown(entries: Sequence[Entry], environment: Mapping[str, Any], data: str) -> str:
    """The whole page."""
    commit = _commit(environment)
    head = [
        "# The claims about batch normalization, tested",
        "",
        f"Made by `bnrepro claims --data {data}`; bnrepro {environment['bnrepro']} ({commit}), torch "
        f"{environment['versions']['torch']}, Python {environment['python']}, {environment['device']}. "
        "Intervals are 95 % t-intervals over seeds. Criteria stood in the code before the seeds that judge "
        "them were run, but for parts of which the notes say that they were added later; rates were chosen "
        "on other seeds. Supported, contradicted: all decided parts agree; mixed: they disagree; undecided: "
        "no part is decided. *Source*: the account of batch normalization that the claims are taken from, "
        "with its own sections; it is not part of this repository.",
        "",
        table(entries),
    ]
    return "\n".join([*head, *(line for entry in entries for line in _section(entry, commit))]) + "\n"


def _section(entry: Entry, commit: str) -> list[str]:
    parts = [
        f"| {part['name']} | {part['criterion']} | **{part['verdict']}** | {part['found']} |"
        for part in entry["parts"]
    ]
    older = entry.get("commit", commit) != commit
    return [
        "",
        f"## {entry['id']} {entry['title']}: {entry['verdict']}",
        "",
        entry["text"],
        "",
        f"*Published:* {entry['published']}",
        *(("", f"Judged by {entry['commit']}.") if older else ()),
        "",
        "| part | criterion | verdict | found |",
        "|---|---|---|---|",
        *parts,
        "",
        f"![{entry['title']}]({figure_name(entry['id'])}.png)",
        *(line for note in entry["notes"] for line in ("", note)),
    ]
