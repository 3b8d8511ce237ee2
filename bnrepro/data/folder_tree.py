"""The files of an image folder: `train/<class>/…` and `val/<class>/…` or `test/<class>/…`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.data.cache import FORMAT
from bnrepro.data.decode import SUFFIXES

EVALUATION_FOLDERS = ("val", "test")
"""The first of these that is there; ImageNet's `test/` has no labels."""
LITTER = frozenset(
    (
        *("@eadir", "@tmp", "#recycle", "#snapshot", "__macosx", "icon\r", "lost+found"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    )
)
"""What file managers and network storage leave behind, in lower case; some of it are images (thumbnails)."""
SHOWN = 3

Identity = tuple[int, int]
"""Device and inode: what two names of one file have in common."""


@dataclass(frozen=True)
class File:
    name: str
    """Relative to the root: `train/cat/0001.jpg`."""
    identity: Identity
    entry: os.DirEntry[str]


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


@dataclass
class Overlap:
    """Training files that are evaluation files too, by another name or through a link."""

    root: Path
    evaluation: dict[Identity, str] = field(default_factory=dict)
    _both: list[tuple[str, str]] = field(default_factory=list)

    def add_evaluation(self, files: Iterable[File]) -> Iterator[File]:
        for file in files:
            self.evaluation[file.identity] = file.name
            yield file

    def add_training(self, files: Iterable[File]) -> Iterator[File]:
        for file in files:
            if (other := self.evaluation.get(file.identity)) is not None:
                self._both.append((file.name, other))
            yield file

    def refuse(self) -> None:
        """Raises `UsageError` where there are any: an error on training images says nothing."""
        if self._both:
            train, test = self._both[0]
            raise UsageError(
                f"data.root: {len(self._both)} of {len(self.evaluation)} evaluation images are training "
                f"images too, as {self.root / test}, which is {self.root / train}; evaluate on other images"
            )


def scan_tree(root: Path) -> FolderTree:
    """The files of an image folder. Raises `UsageError` naming what is missing or cannot be meant."""
    evaluation = evaluation_folder(root)
    classes = class_names(root / "train")
    check_same_classes(root, classes, evaluation, class_names(root / evaluation))
    overlap = Overlap(root)
    test = _scan_split(classes, lambda name: overlap.add_evaluation(class_files(root, evaluation, name)))
    train = _scan_split(classes, lambda name: overlap.add_training(class_files(root, "train", name)))
    overlap.refuse()
    return FolderTree(root, classes, train, test)


def evaluation_folder(root: Path) -> str:
    """`val` or `test`, beside `train/`. Raises `UsageError` naming what is missing."""
    try:
        if not root.is_dir():
            raise refuse(root, "is not a folder")
        if not (root / "train").is_dir():
            raise refuse(root, "has no train/")
        names = [name for name in EVALUATION_FOLDERS if (root / name).is_dir()]
    except OSError as error:
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
    """The class folders of one side, sorted. Raises `UsageError`, also for images beside them."""
    try:
        with os.scandir(folder) as entries:
            there = [entry for entry in entries if not is_litter(entry.name)]
            names = sorted(entry.name for entry in there if entry.is_dir())
    except OSError as error:
        raise refuse(folder, f"cannot be read ({error.strerror})") from error
    if not names:
        raise refuse(folder, "holds no class folder")
    if stray := sorted(entry.name for entry in there if has_image_name(entry.name) and not entry.is_dir()):
        raise refuse(folder / stray[0], "is an image outside of the class folders: move it into one, or away")
    return tuple(names)


def is_litter(name: str) -> bool:
    """Is it not part of the set, whoever left it there? Names with a dot in front are not."""
    return name.startswith(".") or name.lower() in LITTER


def has_image_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def class_files(root: Path, side: str, name: str, folders: dict[str, int] | None = None) -> list[File]:
    """All files of a class, sorted by name; `folders` as in `walk`. Raises `UsageError` for none."""
    folder = f"{side}/{name}"
    files = sorted(walk(root, folder, folders), key=lambda file: file.name)
    if not files:
        raise refuse(root / folder, "holds no image")
    depth = folder.count("/") + 1
    if all(file.name.count("/") > depth for file in files):
        inner = sorted({file.name.split("/")[depth] for file in files})
        shown = ", ".join(inner[:SHOWN]) + (", …" if len(inner) > SHOWN else "")
        raise refuse(
            root / folder,
            f"holds only folders ({shown}): the classes are one level deeper; move them up into {side}/",
        )
    return files


def walk(root: Path, folder: str, folders: dict[str, int] | None = None) -> Iterator[File]:
    """All files below `folder`, through links too; litter is left out. Opens none.

    `folders` collects every folder that was read, relative to the root, with its time: a new file changes it.
    Raises `UsageError` naming what cannot be read.
    """
    return _walk(root, folder, {} if folders is None else folders, ())


def _walk(root: Path, folder: str, folders: dict[str, int], above: tuple[Identity, ...]) -> Iterator[File]:
    path = root / folder
    try:
        status = path.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            raise refuse(path, "is a link to a folder that it lies in")
        folders[folder] = status.st_mtime_ns
        with os.scandir(path) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                name = f"{folder}/{entry.name}"
                if entry.is_dir():
                    yield from _walk(root, name, folders, (*above, here))
                else:
                    yield File(name, _identity(entry, status.st_dev), entry)
    except OSError as error:
        raise refuse(path, f"cannot be read ({error.strerror})") from error


def _identity(entry: os.DirEntry[str], device: int) -> Identity:
    if not entry.is_symlink():
        return device, entry.inode()  # known without looking at the file
    try:
        status = entry.stat()
    except OSError:  # a link to nothing
        return device, entry.inode()
    return status.st_dev, status.st_ino


def _scan_split(classes: Sequence[str], files_of: Callable[[str], Iterable[File]]) -> FolderSplit:
    names: list[str] = []
    states: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in files_of(name):
            names.append(file.name)
            states.append(_state(file.entry))
            labels.append(label)
    return FolderSplit(names, states, labels)


def _state(entry: os.DirEntry[str]) -> str:
    try:
        status = entry.stat()
    except OSError:
        return "dangling link"  # decoding it names it
    return f"{status.st_size}/{status.st_mtime_ns}"
