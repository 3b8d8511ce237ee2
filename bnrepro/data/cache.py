"""Decoded image sets on disk, mapped into memory: every process that reads one shares its pages.

A set is a folder `<cache_dir>/decoded/<key>/` of raw arrays (see `stored`): files that change give another
key. It may be deleted whenever no run is using it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.resident import Split, channel_moments
from bnrepro.data.stored import META, Unfit, contents, open_or_build

FORMAT = 2
"""Part of every key: goes up when the meaning of the files changes."""
GIB = 2**30


Chunk = tuple[np.ndarray, Sequence[int] | np.ndarray]
"""Images `(n, H, W, C)` uint8 and the index of each one's class."""


class CacheError(UsageError):
    """The cache's folder cannot be read or written."""


@dataclass(frozen=True)
class CachedSet:
    """What a folder of the cache holds."""

    classes: tuple[str, ...]
    train: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: dict[str, str]
    """Files that could not be decoded, relative to the root, and why."""
    same_images: bool = False
    """Is the test set the training set?"""


@dataclass(frozen=True)
class Source:
    """What a source hands to the cache."""

    classes: Sequence[str]
    train: Iterable[Chunk]
    test: Iterable[Chunk]
    skipped: dict[str, str]
    """Filled while the chunks are drawn."""


def cache_folder(config: DataConfig) -> Path:
    """`data.cache_dir`, else `$XDG_CACHE_HOME/bnrepro`, else `~/.cache/bnrepro`."""
    if config.cache_dir is not None:
        return Path(config.cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnrepro"


def check_budget(config: DataConfig, images: int, shape: Sequence[int]) -> None:
    """Raises `UsageError` where `images` images of `shape` (H, W, C) exceed `data.memory_budget_gb`."""
    need = images * int(np.prod(shape)) / GIB
    if need > config.memory_budget_gb:
        raise UsageError(
            f"data.memory_budget_gb={config.memory_budget_gb:g}: the {images} decoded images of "
            f"{'x'.join(map(str, shape))} bytes need {need:.4g} GiB; raise it, or set data.image_size"
        )


def cached(config: DataConfig, key: str, open_source: Callable[[], Source]) -> CachedSet:
    """The set called `key` from the cache, written there first from `open_source()` if it is not there whole.

    Raises `CacheError` where the cache cannot be read or written.
    """
    folder = cache_folder(config) / "decoded" / key
    try:
        with suppress(Unfit):  # said where it is made anew
            if (there := contents(folder)) is not None:
                return _open(folder, there)
        return open_or_build(
            folder, lambda there: _open(folder, there), lambda partial: _write(partial, open_source())
        )
    except OSError as error:
        raise CacheError(
            f"data.cache_dir={cache_folder(config)}: cannot be used ({error.strerror or error}); "
            "set it to a folder with room that you may write to"
        ) from error


def in_memory(source: Source) -> CachedSet:
    """The same without a cache: for a set that is small."""
    train, test = (_join(chunks) for chunks in (source.train, source.test))
    mean, std = channel_moments(train.images)
    return CachedSet(tuple(source.classes), train, test, mean, std, source.skipped)


def _join(chunks: Iterable[Chunk]) -> Split:
    images, labels = zip(*chunks, strict=True)
    return Split(torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels)))


def _write(folder: Path, source: Source) -> dict[str, Any]:
    shapes = {split: _write_split(folder, split, getattr(source, split)) for split in ("train", "test")}
    train, test = (_map_split(folder, split, shapes[split]).images for split in ("train", "test"))
    mean, std = channel_moments(train)
    return {
        "classes": list(source.classes),
        "shapes": shapes,
        "mean": mean,
        "std": std,
        "skipped": source.skipped,
        "same_images": torch.equal(train, test),
    }


def _open(folder: Path, there: dict[str, Any]) -> CachedSet:
    """Raises `Unfit` for what cannot be a data set, whoever wrote it."""
    try:
        train, test = (_map_split(folder, split, there["shapes"][split]) for split in ("train", "test"))
        stored = CachedSet(
            classes=tuple(map(str, there["classes"])),
            train=train,
            test=test,
            mean=tuple(map(float, there["mean"])),
            std=tuple(map(float, there["std"])),
            skipped=dict(there["skipped"]),
            same_images=bool(there["same_images"]),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Unfit(f"{META} does not describe a data set") from error
    for what, fits in _conditions(stored):
        if not fits:
            raise Unfit(what)
    return stored


def _conditions(stored: CachedSet) -> Iterator[tuple[str, bool]]:
    """What would be wrong, and whether it is right."""
    sides = (stored.train, stored.test)
    shapes = {side.images.shape[1:] for side in sides}
    channels = stored.train.images.shape[-1]
    yield "an image has no pixels", all(side.images.numel() for side in sides)
    yield "training and test images differ in shape", len(shapes) == 1
    yield (
        "a label is not of a class",
        all(0 <= int(side.labels.min()) <= int(side.labels.max()) < len(stored.classes) for side in sides),
    )
    yield (
        "a mean is not within 0 and 1",
        (len(stored.mean) == channels and all(0 <= mean <= 1 for mean in stored.mean)),
    )
    yield (
        "a standard deviation is not above 0",
        (len(stored.std) == channels and all(0 < std < math.inf for std in stored.std)),
    )


def _write_split(folder: Path, split: str, chunks: Iterable[Chunk]) -> tuple[int, ...]:
    count, shape = 0, (0, 0, 0)
    with (folder / f"{split}.images").open("wb") as images, (folder / f"{split}.labels").open("wb") as labels:
        for pixels, classes in chunks:
            images.write(np.ascontiguousarray(pixels, dtype=np.uint8).data)
            labels.write(np.asarray(classes, dtype=np.int64).data)
            count, shape = count + len(pixels), pixels.shape[1:]
    return (count, *shape)


def _map_split(folder: Path, split: str, shape: Sequence[int]) -> Split:
    """Maps the files: not shared in torch's sense, so that they are opened read-only and never changed.

    Raises ValueError where they are not as large as `shape`: a mapping beyond an end would kill the process.
    """
    images, labels = (folder / f"{split}.{part}" for part in ("images", "labels"))
    count, *_ = shape
    if len(shape) != 4 or images.stat().st_size != math.prod(shape) or labels.stat().st_size != 8 * count:
        raise ValueError(f"not {shape}")
    pixels = torch.from_file(str(images), shared=False, size=math.prod(shape), dtype=torch.uint8)
    classes = torch.from_file(str(labels), shared=False, size=count, dtype=torch.int64)
    return Split(pixels.view(*shape), classes)
