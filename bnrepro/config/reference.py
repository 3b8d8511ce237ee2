"""A callable of the user's own: `module:callable` or `file.py:callable`, for norms, models and data alike."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bnrepro.config.errors import UsageError, shown

GROUPS = ("norm", "model", "data")
"""The config groups whose key `factory` holds a reference."""


def located(key: str, reference: str, folders: Iterable[Path]) -> str:
    """The reference, with an absolute path where it names a file: workers and resumed runs find it again.

    The file is looked up in `folders`, in their order. Raises `UsageError` where it is in none of them, and
    for a text that is no reference.
    """
    place, _ = _parts(key, reference)
    if not _is_file(place):
        return reference
    tried = [folder / place for folder in folders]
    for path in tried:
        if path.is_file():
            return f"{path.resolve()}:{reference.rpartition(':')[2]}"
    raise UsageError(f"{key}={reference}: there is no {' or '.join(map(str, tried))}")


def load_reference(key: str, reference: str) -> Callable[..., Any]:
    """What the reference points to. Raises `UsageError` where it cannot be imported or called."""
    place, attribute = _parts(key, reference)
    try:
        module = _module_of_file(Path(place)) if _is_file(place) else importlib.import_module(place)
        found = getattr(module, attribute)
    except Exception as error:  # the user's module may raise anything
        hint = "" if _is_file(place) else "; is the module in this directory or installed?"
        raise UsageError(
            f"{key}={reference}: cannot be imported ({type(error).__name__}: {error}){hint}"
        ) from error
    if not callable(found):
        raise UsageError(f"{key}={reference}: is not callable; name a function or class")
    return found


def content_hashes(config: Any) -> dict[str, str]:
    """SHA-256 of every file with a factory of the config, by path. Raises `UsageError` where one is gone."""
    hashes = {}
    for group in GROUPS:
        reference = getattr(getattr(config, group, None), "factory", None)
        if reference is not None and _is_file(place := _parts(f"{group}.factory", reference)[0]):
            try:
                hashes[place] = hashlib.sha256(Path(place).read_bytes()).hexdigest()
            except OSError as error:
                raise UsageError(f"{group}.factory={reference}: cannot be read: {error}") from error
    return hashes


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files of `now` whose content was another one."""
    return [path for path, content in now.items() if before.get(path, content) != content]


def _parts(key: str, reference: str) -> tuple[str, str]:
    place, _, attribute = reference.rpartition(":")
    if not place or not attribute.isidentifier():
        raise UsageError(f"{key}={shown(reference)}: must be module:callable or file.py:callable")
    return place, attribute


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def _module_of_file(path: Path) -> ModuleType:
    """The file as a module of its own name; what it imports may stand beside it."""
    name = f"bnrepro_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last: it hides nothing
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
