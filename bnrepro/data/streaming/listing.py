"""Which files there are, and their classes: listed once, then from the cache while no folder changes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.errors import UsageError
from bnrepro.data.decode import TooLarge, open_image, quiet_pillow, read_image, why_unreadable
from bnrepro.data.folder_tree import (
    File,
    Overlap,
    check_same_classes,
    class_files,
    class_names,
    evaluation_folder,
    has_image_name,
    refuse,
    walk,
)
from bnrepro.data.stored import META, Unfit, open_or_build
from bnrepro.data.streaming.decoder import Decoder
from bnrepro.data.streaming.devkit import flat_labels, is_flat
from bnrepro.data.streaming.names import FileNames
from bnrepro.data.streaming.requests import unreadable

FORMAT = 2
"""Part of every key: goes up when the meaning of the files changes."""


@dataclass(frozen=True)
class FileSplit:
    """The files of one side."""

    root: Path
    names: FileNames
    """Relative to the root: `train/n01440764/n01440764_10026.JPEG`."""
    labels: Tensor
    """`(N,)` int64: the index of each one's class."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> FileSplit:
        return FileSplit(self.root, self.names.take(indices.numpy()), self.labels[indices])

    def crop(self, index: int, uniform: np.ndarray | None, decoder: Decoder) -> Tensor:
        """What a network sees of an image: `uniform` as in `Decoder.train_crop`, None in evaluation.

        Raises `UsageError` naming it where it cannot be read.
        """
        path = self.root / self.names[index]
        try:
            with quiet_pillow():
                return decoder.test_crop(path) if uniform is None else decoder.train_crop(path, uniform)
        except TooLarge:
            raise
        # Decoders raise RuntimeError, OSError, SyntaxError, ValueError and more for a broken file.
        except Exception as error:
            raise UsageError(unreadable(path, why_unreadable(error, path))) from error


@dataclass(frozen=True)
class Listing:
    classes: tuple[str, ...]
    """The names of the folders in `train/`, sorted."""
    train: FileSplit
    test: FileSplit


def list_images(root: Path, cache: Path) -> Listing:
    """The images below `root`: torchvision's layout, or a flat `val/` with the devkit's labels.

    Opens no file whose name is an image's. 1.3 million names take some seconds, and are kept in `cache` for
    the next time: it is enough to look at the folders' times then. Raises `UsageError` naming the file or
    folder that is wrong.
    """
    folder = cache / "listings" / hashlib.sha256(f"{FORMAT}/{root.resolve()}".encode()).hexdigest()[:32]
    try:
        return open_or_build(
            folder,
            lambda there: _open(folder, root, there) if _is_fresh(root, there) else None,
            lambda partial: _write(partial, _scan(root)),
        )
    except OSError as error:
        raise UsageError(
            f"data.cache_dir={cache}: cannot be used ({error.strerror or error}); set it to a folder with "
            "room that you may write to"
        ) from error


@dataclass(frozen=True)
class _Scan:
    classes: tuple[str, ...]
    sides: dict[str, tuple[list[str], list[int]]]
    """`train` and `test`: names and labels."""
    folders: dict[str, int]
    """Every folder that was read, relative to the root, with its time: a new file changes it."""


def _scan(root: Path) -> _Scan:
    evaluation = evaluation_folder(root)
    classes = class_names(root / "train")
    folders: dict[str, int] = {}
    overlap = Overlap(root)
    if is_flat(root / evaluation):
        files = sorted(_checked(root, overlap.add_evaluation(walk(root, evaluation, folders))))
        test = (files, flat_labels(root, files, classes))
    else:
        check_same_classes(root, classes, evaluation, class_names(root / evaluation))
        test = _scan_classes(root, evaluation, classes, folders, overlap.add_evaluation)
    train = _scan_classes(root, "train", classes, folders, overlap.add_training)
    overlap.refuse()
    return _Scan(classes, {"train": train, "test": test}, folders)


def _scan_classes(
    root: Path,
    side: str,
    classes: Sequence[str],
    folders: dict[str, int],
    add: Callable[[Iterable[File]], Iterable[File]],
) -> tuple[list[str], list[int]]:
    names: list[str] = []
    labels: list[int] = []
    folders[side] = (root / side).stat().st_mtime_ns
    for label, name in enumerate(classes):
        files = list(_checked(root, add(class_files(root, side, name, folders))))
        names += files
        labels += [label] * len(files)
    return names, labels


def _checked(root: Path, files: Iterable[File]) -> Iterator[str]:
    """Their names. Raises `UsageError` for a file that cannot be an image.

    Only those are opened whose names do not say that they are images: what `image_folder` can read.
    """
    for file in files:
        path = root / file.name
        if not file.entry.is_file():
            raise refuse(path, "is not a file (a pipe, a device or a link to nothing)")
        if not has_image_name(file.name):
            try:
                open_image(read_image(path), path, sys.maxsize)
            except Exception as error:  # whatever Pillow's plugins raise
                reason = why_unreadable(error, path)
                raise refuse(path, f"is not a readable image ({reason}): repair or remove it") from error
        yield file.name


def _is_fresh(root: Path, there: dict[str, Any]) -> bool:
    try:
        return all((root / name).stat().st_mtime_ns == time for name, time in there["folders"].items())
    except (OSError, KeyError, AttributeError):
        return False


def _write(folder: Path, scan: _Scan) -> dict[str, Any]:
    for side, (names, labels) in scan.sides.items():
        FileNames.of(names).save(folder, side)
        np.save(folder / f"{side}.labels.npy", np.asarray(labels, dtype=np.int64))
    return {"classes": scan.classes, "folders": scan.folders}


def _open(folder: Path, root: Path, there: dict[str, Any]) -> Listing:
    """Raises `Unfit` for what cannot be a list of files, whoever wrote it."""
    try:
        classes = tuple(map(str, there["classes"]))
        sides = [_open_side(folder, root, side, len(classes)) for side in ("train", "test")]
    except (KeyError, TypeError, ValueError) as error:
        raise Unfit(f"{META} does not describe a list of files") from error
    return Listing(classes, *sides)


def _open_side(folder: Path, root: Path, side: str, classes: int) -> FileSplit:
    names = FileNames.load(folder, side)
    labels = np.load(folder / f"{side}.labels.npy")
    if not 0 < len(names) == len(labels) or not ((labels >= 0) & (labels < classes)).all():
        raise ValueError(f"labels of {side} do not fit")
    return FileSplit(root, names, torch.from_numpy(labels))
