"""Hydra's compose behind one function. OmegaConf does not leave this module."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from bnrepro.config.convert import check_options, to_dataclass, unknown_key
from bnrepro.config.errors import UsageError, one_line, shortened, shown
from bnrepro.config.overrides import Change, Choice, apply, parse, quoted
from bnrepro.config.paths import config_directory
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import validate

OPEN_GROUPS = {"norm": ("name", "label", "factory"), "model": ("name", "zero_init_last")}
"""Groups whose further keys are keyword arguments of a factory, and the keys that are not."""
MAY_BE_NULL = ("experiment",)
LONGEST_LINE = 300
"""Characters of a message about an override."""


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> RunConfig:
    """The checked configuration that Hydra's `overrides` describe.

    `config_dir` adds a user's own groups to ours. Raises `UsageError`, one line of at most 300 characters,
    for whatever is wrong with them.
    """
    try:
        values = _values(overrides, config_dir)
        config = to_dataclass(RunConfig, values)
        validate(config)
    except UsageError as error:
        raise UsageError(shortened(str(error), LONGEST_LINE)) from error
    return config


def _values(overrides: Sequence[str], config_dir: Path | None) -> dict[str, Any]:
    """The config as nested dicts, before it is checked against the schema."""
    if config_dir is not None and not config_dir.is_dir():
        raise UsageError(f"--config-dir {config_dir}: no such directory")
    known = groups(config_dir)
    read = [parse(override, known) for override in overrides]
    chosen = {choice.group: choice.name for choice in read if isinstance(choice, Choice)}
    for group, name in chosen.items():
        _check_choice(group, name, config_dir)
    values, names = _composed(chosen, config_dir)
    apply(values, [change for change in read if isinstance(change, Change)])
    values = _resolved(values)
    for group, fixed in OPEN_GROUPS.items():
        values[group] = _split_options(group, values.get(group), fixed, _template(group, names, config_dir))
    if isinstance(values.get("launcher"), Mapping):  # whose values its own module checks
        _check_names("launcher", values["launcher"], _template("launcher", names, config_dir))
    if values["norm"].get("name") != names["norm"]:
        raise UsageError(
            f"norm={names['norm']}: its name is {shown(values['norm'].get('name'))}; "
            "a norm's name is that of its file"
        )
    return values


def groups(config_dir: Path | None = None) -> set[str]:
    """The names of the config groups, ours and the user's."""
    roots = [config_directory(), *([config_dir] if config_dir else [])]
    return {path.name for root in roots for path in root.iterdir() if path.is_dir()}


def choices(group: str, config_dir: Path | None = None) -> list[str]:
    """The choices of a config group, ours and the user's: its YAML files, but `_base` and the like."""
    found = set()
    for root in (config_directory(), config_dir):
        if root is not None:
            paths = (path.relative_to(root / group) for path in (root / group).rglob("*.yaml"))
            found |= {path.with_suffix("").as_posix() for path in paths if not path.name.startswith("_")}
    return sorted(found)


def norm_options(name: str, config_dir: Path | None = None) -> list[str]:
    """The option names of a norm. Raises `UsageError` where there is no such norm."""
    _check_choice("norm", name, config_dir)
    template = _template("norm", {"norm": name}, config_dir)
    return [key for key in template if key not in OPEN_GROUPS["norm"]]


def _check_choice(group: str, name: str | None, config_dir: Path | None) -> None:
    if name is None and group in MAY_BE_NULL:
        return
    there = choices(group, config_dir)
    if name not in there:
        raise UsageError(f"{group}={shown(name)}: no such choice; choices: {', '.join(there)}")
    if config_dir is not None and all(
        (r / group / f"{name}.yaml").is_file() for r in (config_directory(), config_dir)
    ):
        raise UsageError(f"{group}={name}: is bnrepro's own and in {config_dir} too; give yours another name")


Composed = tuple[dict[str, Any], dict[str, Any]]


def _composed(chosen: Mapping[str, str | None], config_dir: Path | None) -> Composed:
    """Hydra's config of these choices, interpolations as they are written; and the choice of every group."""
    key = tuple(sorted(chosen.items()))
    if config_dir is not None:  # a user's files may change while we run
        return _from_hydra(config_directory(), key, config_dir)
    return copy.deepcopy(_from_our_files(config_directory(), key))


@functools.lru_cache(maxsize=256)
def _from_our_files(root: Path, chosen: tuple[tuple[str, str | None], ...]) -> Composed:
    return _from_hydra(root, chosen, None)


def _from_hydra(root: Path, chosen: tuple[tuple[str, str | None], ...], config_dir: Path | None) -> Composed:
    search = [f"hydra.searchpath=[{quoted(f'file://{config_dir.resolve()}')}]"] if config_dir else []
    choose = [f"{group}={'null' if name is None else quoted(name)}" for group, name in chosen]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(root), version_base="1.3"):
            config = compose("config", overrides=[*search, *choose], return_hydra_config=True)
        names = {str(group): name for group, name in config.hydra.runtime.choices.items()}
        with open_dict(config):
            del config["hydra"]
        return OmegaConf.to_container(config, resolve=False), names  # type: ignore[return-value]
    except Exception as error:  # a user's YAML may be anything
        where = f"--config-dir {config_dir}" if config_dir else ", ".join(choose)
        raise UsageError(f"{where}: cannot be composed: {one_line(str(error))}") from error


def _resolved(values: dict[str, Any]) -> dict[str, Any]:
    """With the values that interpolations of the YAML files stand for."""
    try:
        return OmegaConf.to_container(OmegaConf.create(values), resolve=True)  # type: ignore[return-value]
    except Exception as error:  # OmegaConf's own, and of its resolvers
        key = getattr(error, "full_key", None)
        first = str(error).partition("\n")[0]
        raise UsageError(f"{key}: {first}" if key else first) from error


def _split_options(
    group: str, values: Any, fixed: Sequence[str], template: Mapping[str, Any]
) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise UsageError(f"{group}={shown(values)}: must be a group of keys")
    options = {key: value for key, value in values.items() if key not in fixed}
    check_options(group, options, {key: value for key, value in template.items() if key not in fixed})
    return {**{key: values[key] for key in fixed if key in values}, "options": options}


def _check_names(group: str, values: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    for key in values:
        if key not in template:
            raise UsageError(unknown_key(f"{group}.{key}", key, template))


def _template(group: str, names: Mapping[str, Any], config_dir: Path | None) -> dict[str, Any]:
    """The YAML of a choice: its keys are the options there are."""
    name = names.get(group)
    for root in (config_directory(), config_dir):
        if root is not None and (path := root / group / f"{name}.yaml").is_file():
            return read_yaml(path)
    raise UsageError(
        f"{group}={shown(name)}: no such choice; choices: {', '.join(choices(group, config_dir))}"
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a group's file, with those of the files beside it that its `defaults` name."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: must hold keys and values")
    parts = [part for part in values.pop("defaults", []) if isinstance(part, str) and part != "_self_"]
    below: dict[str, Any] = {}
    for part in parts:
        below |= read_yaml(path.with_name(f"{part}.yaml"))
    return below | values
