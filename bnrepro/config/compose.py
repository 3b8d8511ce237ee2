"""Hydra's compose behind one function. OmegaConf does not leave this module."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from bnrepro.config import reference
from bnrepro.config.convert import check_options, to_dataclass, unknown_key
from bnrepro.config.errors import UsageError, one_line, shortened, shown
from bnrepro.config.files import choices, find_file, groups, read_config_file
from bnrepro.config.overrides import Change, Choice, apply, parse, quoted
from bnrepro.config.paths import config_directory
from bnrepro.config.schema import DataConfig, RunConfig
from bnrepro.config.validate import validate

OPEN_GROUPS = {"norm": ("name", "label", "factory"), "model": ("name", "zero_init_last", "factory")}
"""Groups whose further keys are keyword arguments of a factory, and the keys that are not."""
DATA_KEYS = tuple(field.name for field in dataclasses.fields(DataConfig) if field.name != "options")
"""Of a data set with a factory, further keys are its keyword arguments; others have none."""
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


def comments_of(overrides: Sequence[str], config_dir: Path | None = None) -> dict[str, str]:
    """What the YAML files of this config say of its keys: dotted key of the schema -> comment."""
    _, names = _composed(_chosen(_parsed(overrides, config_dir), config_dir), config_dir)
    found = dict(read_config_file(config_directory() / "config.yaml").comments)
    for group, name in names.items():
        path = find_file(group, str(name), config_dir)
        if path is None or group == "experiment":
            continue
        for key, comment in read_config_file(path).comments.items():
            is_option = group in OPEN_GROUPS and key not in OPEN_GROUPS[group]
            found[f"{group}.options.{key}" if is_option else f"{group}.{key}"] = comment
    experiment = find_file("experiment", str(names.get("experiment")), config_dir)
    return found | (read_config_file(experiment).comments if experiment else {})


def _parsed(overrides: Sequence[str], config_dir: Path | None) -> list[Choice | Change]:
    if config_dir is not None and not config_dir.is_dir():
        raise UsageError(f"--config-dir {config_dir}: no such directory")
    known = groups(config_dir)
    return [parse(override, known) for override in overrides]


def _chosen(read: Sequence[Choice | Change], config_dir: Path | None) -> dict[str, str | None]:
    chosen = {choice.group: choice.name for choice in read if isinstance(choice, Choice)}
    for group, name in chosen.items():
        _check_choice(group, name, config_dir)
    return chosen


def _values(overrides: Sequence[str], config_dir: Path | None) -> dict[str, Any]:
    """The config as nested dicts, before it is checked against the schema."""
    read = _parsed(overrides, config_dir)
    values, names = _composed(_chosen(read, config_dir), config_dir)
    _name_own_choices(values, names)
    apply(values, [change for change in read if isinstance(change, Change)])
    values = _resolved(values)
    for group in reference.GROUPS:
        _locate_factory(group, values.get(group), names, config_dir)
    data = values.get("data")
    if isinstance(data, Mapping) and data.get("factory") is not None:
        values["data"] = _split_options("data", data, DATA_KEYS, _template("data", names, config_dir))
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


def _name_own_choices(values: dict[str, Any], names: Mapping[str, Any]) -> None:
    """What is the user's own needs no more than its factory: the file's name is its name."""
    every_set = read_config_file(config_directory() / "data" / "_base.yaml").values
    for group, defaults in (("norm", {}), ("model", {"zero_init_last": False}), ("data", every_set)):
        own = values.get(group)
        if isinstance(own, dict) and own.get("factory") is not None:
            values[group] = {"name": names.get(group), **defaults, **own}


def _locate_factory(group: str, values: Any, names: Mapping[str, Any], config_dir: Path | None) -> None:
    """A file that `factory` names is looked up beside the YAML, then in the current directory."""
    if not isinstance(values, dict) or not isinstance(values.get("factory"), str):
        return
    yaml_file = find_file(group, str(names.get(group)), config_dir)
    folders = [*([yaml_file.parent] if yaml_file else []), *([config_dir] if config_dir else []), Path.cwd()]
    values["factory"] = reference.located(f"{group}.factory", values["factory"], folders)


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
    path = find_file(group, str(names.get(group)), config_dir)
    if path is None:
        raise UsageError(
            f"{group}={shown(names.get(group))}: no such choice; choices: "
            f"{', '.join(choices(group, config_dir))}"
        )
    return read_config_file(path).values
