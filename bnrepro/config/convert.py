"""Plain dicts to frozen dataclasses and back, every name and type checked.

OmegaConf's own structured configs cannot hold frozen dataclasses with tuples (their nodes become
read-only before the values are merged), and `+key=` passes them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from bnrepro.config.errors import UsageError, check_choice, shown
from bnrepro.config.ranges import Range

T = TypeVar("T")
NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def to_dataclass(cls: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """Build `cls` from `values`. Raises `UsageError` naming the key that is unknown, missing or mistyped."""
    hints = key_types(typing.cast(Any, cls))
    for key in values:
        if key not in hints:
            raise UsageError(unknown_key(f"{path}{shown(key)}", str(key), hints))
    fields = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in values:
            fields[field.name] = convert_value(hints[field.name], values[field.name], f"{path}{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UsageError(f"{path}{field.name}: missing; the config group it belongs to must set it")
    return cls(**fields)


@functools.cache
def key_types(cls: Any) -> dict[str, Any]:
    """The keys of a dataclass of the schema, and their types."""
    return typing.get_type_hints(cls)


def unknown_key(path: str, key: str, known: Iterable[str]) -> str:
    """The line for a key that does not exist: the nearest ones first, or all of them."""
    near = difflib.get_close_matches(key, list(known), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choices: {', '.join(sorted(known))}"
    return f"{path}: no such key; {hint}"


def convert_value(hint: Any, value: Any, path: str) -> Any:
    """`value` as the type `hint` of the schema. Raises `UsageError` naming `path` where it cannot be."""
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UsageError(f"{path}={shown(value)}: must be a group of keys")
        return to_dataclass(typing.cast(type, hint), value, f"{path}.")
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _convert_within(typing.get_args(hint), value, path)
    if origin is Literal:
        check_choice(path, value, typing.get_args(hint))
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, path)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{path}={shown(value)}: must be a list, as in {path}=[…]")
        return tuple(convert_value(typing.get_args(hint)[0], item, path) for item in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise UsageError(f"{path}={shown(value)}: must be a group of keys")
        return dict(value)
    return _convert_scalar(hint, value, path)


def _convert_within(args: tuple[Any, ...], value: Any, path: str) -> Any:
    """A value of the type `args[0]`, inside the ranges that follow."""
    hint, *ranges = args
    converted = convert_value(hint, value, path)
    for allowed in ranges:
        if isinstance(allowed, Range):
            allowed.check(path, converted)
    return converted


def _convert_union(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    groups = [choice for choice in choices if dataclasses.is_dataclass(choice)]
    if groups and isinstance(value, Mapping):
        return convert_value(groups[0], value, path)  # its own errors name the key inside
    for choice in choices:
        try:
            return convert_value(choice, value, path)
        except UsageError:
            continue
    raise UsageError(f"{path}={shown(value)}: must be {' or '.join(map(_kind, choices))}")


def _kind(hint: Any) -> str:
    """A type in words."""
    if typing.get_origin(hint) is Annotated:
        return _kind(typing.get_args(hint)[0])
    if typing.get_origin(hint) is Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    return NAMES.get(hint, str(hint))


def _convert_scalar(hint: type, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        if not math.isfinite(number):  # JSON has no such number
            raise UsageError(f"{path}={shown(value)}: must be a finite number")
        return number
    # a directory called 2024 is a text, though YAML reads a number
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{path}={shown(value)}: must be {NAMES[hint]}")


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as nested plain dicts and lists, as YAML and JSON have them."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return plain(config)


def check_accepted(
    path: str, factory: Callable[..., Any], options: Iterable[str], program: Collection[str]
) -> None:
    """Raises `UsageError` for an option that `factory` does not take; `program`: what is not the user's."""
    parameters = inspect.signature(factory).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    known = [key for key in parameters if key not in program]
    for key in options:
        if key not in known:
            raise UsageError(
                unknown_key(f"{path}.{key}", key, known) if known else f"{path}.{key}: there are no options"
            )


def check_arguments(path: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check options against what `factory` annotates its arguments with: types, choices and ranges.

    Raises `UsageError`. An argument without annotation, or with one of the user's own types, takes whatever
    is given.
    """
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except Exception:  # a user's annotations may say anything
        return
    for key, value in options.items():
        if key in parameters and _understood(parameters[key].annotation):
            convert_value(parameters[key].annotation, value, f"{path}.{key}")


def _understood(hint: Any) -> bool:
    """Is it made of the types that a YAML has?"""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _understood(args[0])
    if origin in (typing.Union, types.UnionType):
        return all(map(_understood, args))
    return origin is Literal or hint in NAMES


def check_options(path: str, options: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """Check a group's free options against its YAML: the names, and the types of the values there.

    A value whose YAML has `auto` or null may also be a number. Raises `UsageError`.
    """
    for key, value in options.items():
        if key not in template:
            raise UsageError(unknown_key(f"{path}.{shown(key)}", str(key), template))
        expected = template[key]
        if expected is None:
            _convert_union((float, type(None)), value, f"{path}.{key}")
        if expected == "auto" and isinstance(value, int) and not isinstance(value, bool):
            continue
        if expected == "auto" and value != "auto":
            raise UsageError(f"{path}.{key}={shown(value)}: must be auto or a whole number")
        if isinstance(expected, bool | int | float | str):
            _convert_scalar(type(expected), value, f"{path}.{key}")
