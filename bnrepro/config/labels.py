"""What a reader calls a norm, from the norm's own YAML. Imports neither torch nor Hydra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bnrepro.config.paths import config_directory

OPTION = re.compile(r"\{(\w+)(?:\?([^}]*))?\}")
BRACKET = re.compile(r" \(([^()]*)\)")


def norm_label(template: str | None, name: str, options: Mapping[str, Any]) -> str:
    """`Group norm ({groups} groups)` with the norm's options in it; `name` where there is no template.

    `{key}` is the option's value, `{key?text}` the text where the option is true. Brackets around an option
    that is `auto`, null or false are left out with it.
    """
    if not template:
        return name

    def bracket(match: re.Match[str]) -> str:
        needed = [options.get(key) for key, _ in OPTION.findall(match[1])]
        empty = any(value is None or value is False or value == "auto" for value in needed)
        return "" if empty else match[0]

    def value(match: re.Match[str]) -> str:
        return str(options.get(match[1], "")) if match[2] is None else match[2]

    return OPTION.sub(value, BRACKET.sub(bracket, template))


def packaged_label(name: str) -> str | None:
    """The `label:` of `configs/norm/<name>.yaml`; None where the package has no such norm, or no label."""
    path = config_directory() / "norm" / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^label: *(.+?)(?: +#.*)?$", text, re.MULTILINE)
    return found[1] if found else None
