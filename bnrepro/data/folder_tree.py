"""The files of an image folder: `train/<class>/…` and `val/<class>/…` or `test/<class>/…`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.data.cache import FORMAT

EVALUATION_FOLDERS = ("val", "test")
"""The first of these that is there; ImageNet's `test/` has no labels."""


@dataclass(frozen=True)
class FolderSplit:
    """The files of one side, in order. Names are strings: as `Path`, 60,000 of them take 2 s longer."""

    names: Sequence[str]
    """Relative to the root: `train/cat/0001.jpg`."""
    states: Sequence[str]
    """Size in bytes and time of each file: what changes when it does."""
    labels: Sequence[int]
    """The index of each one's class."""


@dataclass(frozen=True)
class FolderTree:
    root: Path
    classes: tuple[str, ...]
    """The names of the folders in `train/`, sorted."""
    train: FolderSplit
    test: FolderSplit

    def key(self, image_size: int | None) -> str:
        """Changes with every file's name, size and time: not with the root, so that a moved tree is known."""
        digest = hashlib.sha256(f"image_folder/{FORMAT}/{image_size}".encode())
        for split in (self.train, self.test):
            for name, state in zip(split.names, split.states, strict=True):
                digest.update(os.fsencode(f"{name}\0{state}\0"))
        return digest.hexdigest()[:32]


def scan_tree(root: Path) -> FolderTree:
    """The files of an image folder. Raises `UsageError` naming what is missing."""
    evaluation = evaluation_folder(root)
    classes = class_names(root / "train")
    check_same_classes(root, classes, evaluation, class_names(root / evaluation))
    return FolderTree(
        root, classes, _scan_split(root, "train", classes), _scan_split(root, evaluation, classes)
    )


def evaluation_folder(root: Path) -> str:
    """`val` or `test`, beside `train/`. Raises `UsageError` naming what is missing."""
    try:
        if not root.is_dir():
            raise refuse(root, "is no folder")
        if not (root / "train").is_dir():
            raise refuse(root, "has no train/")
        names = [name for name in EVALUATION_FOLDERS if (root / name).is_dir()]
    except PermissionError as error:
        raise refuse(Path(error.filename), f"cannot be read ({error.strerror})") from error
    if not names:
        raise refuse(root, "has neither val/ nor test/")
    return names[0]


def check_same_classes(
    root: Path, classes: Sequence[str], evaluation: str, evaluation_classes: Sequence[str]
) -> None:
    """Raises `UsageError` naming the first class that one side does not have."""
    sides = (("train", classes, evaluation_classes), (evaluation, evaluation_classes, classes))
    for folder, there, other in sides:
        if missing := sorted(set(other) - set(there)):
            counts = f"train/ has {len(classes)}, {evaluation}/ has {len(evaluation_classes)}"
            raise refuse(
                root / folder / missing[0], f"is missing: both sides need the same classes ({counts})"
            )


def refuse(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"data.root: {path} {reason}; an image folder is train/<class>/FILES and val/ or test/ with the same"
    )


def class_names(folder: Path) -> tuple[str, ...]:
    try:
        names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise refuse(folder, f"cannot be read ({error.strerror})") from error
    if not names:
        raise refuse(folder, "holds no class folder")
    return tuple(names)


def _scan_split(root: Path, folder: str, classes: tuple[str, ...]) -> FolderSplit:
    names: list[str] = []
    states: list[str] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        found = files_below(root, f"{folder}/{class_name}", {})
        files = sorted((name, _state(entry)) for name, entry in found)
        if not files:
            raise refuse(root / folder / class_name, "holds no image")
        names += [name for name, _ in files]
        states += [state for _, state in files]
        labels += [label] * len(files)
    return FolderSplit(names, states, labels)


def files_below(root: Path, folder: str, times: dict[str, int]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below `folder`, through links too: its name relative to `root`, and its entry.

    Dot names are left out. `times` gets when each folder changed. Raises `UsageError` for one that cannot be
    read.
    """
    try:
        times[folder] = (root / folder).stat().st_mtime_ns
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}"
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from files_below(root, name, times)
                else:
                    yield name, entry
    except OSError as error:
        raise refuse(root / folder, f"cannot be read ({error.strerror})") from error


def _state(entry: os.DirEntry[str]) -> str:
    try:
        status = entry.stat()
    except FileNotFoundError:
        return "dangling link"  # decoding it names it
    return f"{status.st_size}/{status.st_mtime_ns}"
