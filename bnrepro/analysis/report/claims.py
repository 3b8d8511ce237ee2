"""A folder that `bnrepro claims` wrote, for the page: verdicts, parts, figures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnrepro.analysis.report.provenance import environment_facts
from bnrepro.config.errors import UsageError
from bnrepro.rundir import schema
from bnrepro.rundir.reading import MIB, open_regular, read_json

JSON = "claims.json"
MOST_BYTES = 64 * MIB
FIGURE_BYTES = MIB // 3
"""Of one figure in the page; a larger drawing is shown as pixels instead."""
KINDS = {"svg": "image/svg+xml", "png": "image/png"}
FIELDS = {
    "environment": schema.group(),
    "data": schema.optional(schema.text()),
    "claims": schema.list_of(schema.group()),
}
CLAIM = {
    "id": schema.text(),
    "title": schema.text(),
    "verdict": schema.text(),
    "text": schema.optional(schema.text()),
    "published": schema.optional(schema.text()),
    "commit": schema.optional(schema.text()),
    "notes": schema.optional(schema.list_of(schema.text())),
    "parts": schema.list_of(schema.group()),
    "experiments": schema.optional(schema.group_of(schema.text())),
}
PART = {key: schema.text() for key in ("name", "criterion", "verdict", "found")}


@dataclass(frozen=True)
class Claim:
    """As `claims.json` has it."""

    values: Mapping[str, Any]
    figure: str | None
    """An address with the whole picture in it."""

    @property
    def headline(self) -> str:
        return headline(self.values)

    @property
    def anchor(self) -> str:
        return f"claim-{self.values['id']}"


def headline(claim: Mapping[str, Any]) -> str:
    """The number of the first part with its verdict; where parts disagree, of the first for and against."""
    parts = claim["parts"]
    wanted = ("supported", "contradicted") if claim["verdict"] == "mixed" else (claim["verdict"],)
    decided = [next((part for part in parts if part["verdict"] == verdict), None) for verdict in wanted]
    shown = [part for part in decided if part] or parts[:1]
    texts = [(part["verdict"], f"{part['name']}: {part['found'].split(';')[0]}") for part in shown]
    return "; ".join(text if len(shown) == 1 else f"{verdict}: {text}" for verdict, text in texts)


@dataclass(frozen=True)
class Claims:
    """All that was judged, and where."""

    path: Path
    claims: list[Claim]
    environment: list[tuple[str, str]]


def is_claims(directory: Path) -> bool:
    return (directory / JSON).is_file()


def read_values(directory: Path) -> dict[str, Any]:
    """What `claims.json` has. Raises `Damaged` for a file that is not one."""
    path = directory / JSON
    value = schema.check(path, read_json(path, MOST_BYTES), FIELDS)
    for place, claim in enumerate(value["claims"]):
        schema.check(path, claim, CLAIM, where=f"claims[{place}].")
        for number, part in enumerate(claim["parts"]):
            schema.check(path, part, PART, where=f"claims[{place}].parts[{number}].")
    return dict(value)


def read_claims(directory: Path) -> Claims:
    """For the page. Raises `Damaged` as `read_values`, and `UsageError` where nothing is judged."""
    value = read_values(directory)
    claims = [Claim(claim, _figure(directory, claim["id"])) for claim in value["claims"]]
    if not claims:
        raise UsageError(f"{directory / JSON}: has no claim that is judged; run `bnrepro claims` again")
    data = [("data", value["data"])] if "data" in value else []
    return Claims(directory, claims, [*data, *environment_facts(value["environment"])])


def _figure(directory: Path, claim_id: str) -> str | None:
    name = f"claim_{claim_id.replace('.', '_')}"
    if "/" in name or "\0" in name:
        return None
    for extension, kind in KINDS.items():
        try:
            with open_regular(directory / f"{name}.{extension}") as file:
                data = file.read(FIGURE_BYTES + 1)
        except FileNotFoundError:
            continue
        if len(data) <= FIGURE_BYTES:
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return None
