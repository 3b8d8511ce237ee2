"""Any tree of images in folders, decoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnrepro.config.errors import UsageError, one_line
from bnrepro.config.schema import DataConfig
from bnrepro.data.cache import Chunk, Source, cached, check_budget
from bnrepro.data.decode import decode_files
from bnrepro.data.folder_tree import FolderSplit, FolderTree, scan_tree
from bnrepro.data.registry import Dataset, refuse_keys, register
from bnrepro.data.resident import ResidentDataset


@dataclass(frozen=True)
class Size:
    """Height and width that all images must have."""

    height: int
    width: int
    reason: str
    """What says so: the "FILE is" of a message."""
    advice: str


@register("image_folder")
def load_image_folder(config: DataConfig) -> Dataset:
    """The images under `data.root`: decoded once into uint8 RGB, kept in the cache until a file changes.

    Classes are the folders of `train/`. Names that start with a dot, and litter, are not part of the set.
    Without `data.image_size` all images must have one size. Raises `UsageError` naming the file or folder for
    whatever cannot be read.
    """
    refuse_keys(config, "test_images")
    if config.root is None:
        raise UsageError("data.root=null: image_folder needs the folder that holds train/ and val/ or test/")
    root = Path(config.root).expanduser()
    return load_tree(config, scan_tree(root), f"{root.resolve().name} (image folder)")


def load_tree(config: DataConfig, tree: FolderTree, name: str, size: Size | None = None) -> Dataset:
    """The decoded images of `tree`, from the cache if no file has changed.

    `size`: what the images must measure; None: `data.image_size`, else what the first one measures.
    """
    stored = cached(config, tree.key(config.image_size), lambda: _Reader(config, tree, size).source())
    if stored.skipped and not config.skip_corrupt:
        path, reason = next(iter(stored.skipped.items()))
        raise _corrupt(tree.root / path, reason)
    if stored.same_images:
        raise UsageError(
            f"data.root: {tree.root} holds the same images for training and for evaluation, class by class; "
            "evaluate on images of their own"
        )
    shape = stored.train.images.shape[1:]
    if size is not None and shape[:2] != (size.height, size.width):
        raise _wrong_size(tree.root / tree.train.names[0], shape, size)
    check_budget(config, len(stored.train) + len(stored.test), shape)
    return ResidentDataset(
        name,
        stored.classes,
        stored.train,
        stored.test,
        stored.mean,
        stored.std,
        tuple(map(one_line, stored.skipped)),
    )


class _Reader:
    """Decodes a tree chunk by chunk and checks every image."""

    def __init__(self, config: DataConfig, tree: FolderTree, size: Size | None) -> None:
        self.config = config
        self.tree = tree
        self.size = size
        self.skipped: dict[str, str] = {}
        if config.image_size is not None:
            self._check_budget((config.image_size, config.image_size, 3))

    def source(self) -> Source:
        train = self._chunks(self.tree.train, "Decoding the training images")
        test = self._chunks(self.tree.test, "Decoding the test images")
        return Source(self.tree.classes, train, test, self.skipped)

    def _chunks(self, split: FolderSplit, title: str) -> Iterator[Chunk]:
        files = iter(zip(split.names, split.labels, strict=True))
        paths = [self.tree.root / name for name in split.names]
        seen: set[int] = set()
        for block in decode_files(paths, self.config.image_size, self.config.max_pixels, title):
            pixels, labels = [], []
            for decoded, (name, label) in zip(block, files, strict=False):
                if isinstance(decoded, str):
                    self._skip(name, decoded)
                else:
                    self._check_size(name, decoded.shape)
                    pixels.append(decoded)
                    labels.append(label)
            if pixels:
                yield np.stack(pixels), labels
            seen.update(labels)
        if missing := sorted(set(split.labels) - seen):
            folder = paths[list(split.labels).index(missing[0])].parent
            raise UsageError(
                f"data.root: no file in {folder} is a readable image; repair or remove the class"
            )

    def _skip(self, name: str, reason: str) -> None:
        if not self.config.skip_corrupt:
            raise _corrupt(self.tree.root / name, reason)
        self.skipped[name] = reason

    def _check_size(self, name: str, shape: tuple[int, ...]) -> None:
        path = self.tree.root / name
        if self.size is None:
            advice = "set data.image_size to bring all to one size"
            self.size = Size(shape[0], shape[1], f"{path} is", advice)
            self._check_budget(shape)
        elif shape[:2] != (self.size.height, self.size.width):
            raise _wrong_size(path, shape, self.size)

    def _check_budget(self, shape: Sequence[int]) -> None:
        check_budget(self.config, len(self.tree.train.names) + len(self.tree.test.names), shape)


def _corrupt(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"data.root: {path} is not a readable image ({reason}); repair or remove it, or set "
        "data.skip_corrupt=true"
    )


def _wrong_size(path: Path, shape: Sequence[int], size: Size) -> UsageError:
    return UsageError(
        f"data.root: {path} is {shape[0]}x{shape[1]} pixels (height x width), "
        f"but {size.reason} {size.height}x{size.width}; {size.advice}"
    )
