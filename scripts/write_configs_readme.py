"""Write configs/README.md: every key with its comment, from the YAML files. A test says when it is old."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bnrepro.config.files import ConfigFile, choices, find_file, read_config_file
from bnrepro.config.identity import flatten
from bnrepro.config.paths import config_directory

GROUPS = {
    "data": "Data sets",
    "model": "Models",
    "norm": "Norms",
    "protocol": "Protocols: what the batch size means",
    "optimizer": "Optimizers",
    "schedule": "Schedules of the learning rate",
    "launcher": "Where a sweep runs",
}
OPENING = """\
# Every key of a config

Any key can be given on the command line, as `bnrepro train experiment=digits norm=gn optimizer.base_lr=0.4`;
`bnrepro show-config` prints what comes of it. A choice of a group brings its own values (`data=cifar10`), an
experiment sets what it needs on top, and what is typed wins. A group of your own is a YAML file in the folder
that `--config-dir` names, as `my_configs/norm/mine.yaml`.

This page is made from the comments in the YAML files: `python scripts/write_configs_readme.py`.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([OPENING, *_experiments(), *_run(), *(line for g in GROUPS for line in _group(g))])


def _experiments() -> Iterator[str]:
    rows = []
    for name in choices("experiment"):
        about = _about(_file("experiment", name).header)
        rows.append((f"`{name}`", *(about.get(part, "") for part in ("Paper", "Expect", "Time"))))
    yield from _table("Experiments: `experiment=NAME`", ("experiment", "from", "to expect", "time"), rows)


def _about(header: Sequence[str]) -> dict[str, str]:
    """`Paper: …`, `Expect: …` and the like, whose texts may go on in further lines."""
    found: dict[str, str] = {}
    part = ""
    for line in header:
        name, colon, rest = line.partition(":")
        if colon and name in ("Paper", "Command", "Expect", "Time"):
            part, line = name, rest
        found[part] = f"{found.get(part, '')} {line.strip()}".strip()
    return found


def _run() -> Iterator[str]:
    file = read_config_file(config_directory() / "config.yaml")
    rows = [(f"`{key}`", _value(value), file.comments.get(key, "")) for key, value in _leaves(file)]
    yield from _table("A run", ("key", "default", "meaning"), rows)


def _group(group: str) -> Iterator[str]:
    files = {name: _file(group, name) for name in choices(group)}
    about = [(f"`{group}={name}`", " ".join(file.header)) for name, file in files.items()]
    yield from _table(GROUPS[group], ("choice", "what it is"), about)
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name, file in files.items():
        for key, value in _leaves(file):
            if key not in ("name", "label"):
                row = (f"`{group}.{key}`", _value(value), file.comments.get(key, ""))
                rows.setdefault(row, []).append(name)
    ordered = sorted(rows.items(), key=lambda row: row[0][0])
    cells = [(key, _of(names, len(files)), value, comment) for (key, value, comment), names in ordered]
    yield from _table("", ("key", "of", "default", "meaning"), cells)


def _file(group: str, name: str) -> ConfigFile:
    path = find_file(group, name)
    assert path is not None
    return read_config_file(path)


def _leaves(file: ConfigFile) -> Iterable[tuple[str, Any]]:
    return flatten(file.values).items()


def _of(names: Sequence[str], all_of_them: int) -> str:
    return "all" if len(names) == all_of_them > 1 else ", ".join(names)


def _value(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value)
    return f"`{shown}`"


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    if title:
        yield f"## {title}\n"
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    """Neither a column's end nor an HTML tag, which `train/<class>/` would be."""
    text = text.replace("|", "\\|")
    return text if text.startswith("`") else text.replace("<", "&lt;")


if __name__ == "__main__":
    (config_directory() / "README.md").write_text(text(), encoding="utf-8")
