"""Hydra's compose behind one function. OmegaConf does not leave this module."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro.config.convert import check_options, to_dataclass, unknown_key
from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import validate

OPEN_GROUPS = {"norm": ("name", "factory"), "model": ("name", "zero_init_last")}
"""Groups whose further keys are keyword arguments of a factory, and the keys that are not."""


def config_directory() -> Path:
    """`configs/` in a checkout, or the copy that travels in the wheel."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> RunConfig:
    """The checked configuration that Hydra's `overrides` describe.

    `config_dir` adds a user's own groups in front of ours. Raises `UsageError`, one line, for whatever is
    wrong with them.
    """
    if config_dir is not None and not config_dir.is_dir():
        raise UsageError(f"--config-dir {config_dir}: no such directory")
    values = _compose([_quote_text(override) for override in overrides], config_dir)
    for group, fixed in OPEN_GROUPS.items():
        values[group] = _split_options(group, values[group], fixed, config_dir)
    config = to_dataclass(RunConfig, values)
    validate(config)
    return config


def _compose(overrides: list[str], config_dir: Path | None) -> dict[str, Any]:
    search = [f"hydra.searchpath=[{quoted(f'file://{config_dir.resolve()}')}]"] if config_dir else []
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            config = compose("config", overrides=[*search, *overrides])
            return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_one_line(error, overrides, config_dir)) from error


def _quote_text(override: str) -> str:
    """Quote a value that Hydra's grammar does not take bare, as a path with `ü` or `(`."""
    try:
        OverridesParser.create().parse_overrides([override])
    except OverrideParseException:
        key, equals, value = override.partition("=")
        if re.fullmatch(r"[+~]{0,2}[\w./@-]+", key) and equals and value[:1] not in "'\"[{":
            return f"{key}={quoted(value)}"
    return override


def quoted(text: str) -> str:
    """A text in Hydra's grammar, whatever signs it has."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def choices(group: str, config_dir: Path | None = None) -> list[str]:
    """The YAML files of a config group, ours and the user's."""
    folders = [config_directory() / group, *([config_dir / group] if config_dir else [])]
    names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    return sorted(name for name in names if not name.startswith("_"))  # _base is part of others


def norm_options(name: str, config_dir: Path | None = None) -> list[str]:
    """The option names of a norm. Raises `UsageError` where there is no such norm."""
    return [key for key in _template("norm", name, config_dir) if key not in OPEN_GROUPS["norm"]]


def _split_options(
    group: str, values: dict[str, Any], fixed: Sequence[str], config_dir: Path | None
) -> dict[str, Any]:
    options = {key: value for key, value in values.items() if key not in fixed}
    check_options(group, options, _template(group, str(values.get("name")), config_dir))
    return {**{key: values[key] for key in fixed if key in values}, "options": options}


def _template(group: str, name: str, config_dir: Path | None) -> dict[str, Any]:
    """The YAML of a choice: its keys are the options there are. A file's name is the choice's name."""
    for folder in [*([config_dir] if config_dir else []), config_directory()]:
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            return yaml.safe_load(path.read_text()) or {}
    raise UsageError(
        f"{group}={name}: no such choice (there is no {group}/{name}.yaml); choices: "
        f"{', '.join(choices(group, config_dir))}"
    )


def _one_line(error: Exception, overrides: Sequence[str], config_dir: Path | None) -> str:
    """Hydra's messages run over many lines: what was wrong, and the choices."""
    text = str(error)
    if match := re.search(r"Could not find '(\w+)/([^']*)'", text):
        group, choice = match.groups()
        return f"{group}={choice}: no such choice; choices: {', '.join(choices(group, config_dir))}"
    if match := re.search(r"Could not override '([^']+)'", text):
        chosen = [o for o in overrides if choices(o.partition("=")[0], config_dir)]
        return _unknown_override(match.group(1), _compose(chosen, config_dir))
    if isinstance(error, OverrideParseException):
        return f"{error.override}: is no override; write key=value (quote a text with signs: key='a, b')"
    first = next(line.strip() for line in text.splitlines() if line.strip())
    key = re.search(r"full_key: (\S+)", text)
    return f"{key.group(1)}: {first}" if key else first


def _unknown_override(path: str, config: dict[str, Any]) -> str:
    parent, _, key = path.rpartition(".")
    node: Any = config
    for part in parent.split(".") if parent else []:
        node = node.get(part, {}) if isinstance(node, dict) else {}
    if node is None:
        return f"{path}: no such key; give {parent} as a whole, as {parent}={{{key}: …}}"
    known = sorted(node) if isinstance(node, dict) and node else sorted(config)
    return unknown_key(path, key, known)
