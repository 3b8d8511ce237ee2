"""Decoded image sets on disk, mapped into memory: every process that reads one shares its pages.

A set is a folder `<cache_dir>/decoded/<key>/` of raw arrays and `meta.json`. It is built under another
name and renamed, so that it exists only whole, and never changed after that: files that change give
another key. It may be deleted whenever no run is using it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.resident import Split, channel_moments

FORMAT = 1
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`: of several processes that start at once, one works and the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also when the process is killed
        yield


def cached(config: DataConfig, key: str, open_source: Callable[[], Source]) -> CachedSet:
    """The set called `key` from the cache, written there first from `open_source()` if it is missing.

    Raises `CacheError` where the cache cannot be read or written.
    """
    folder = cache_folder(config) / "decoded" / key
    try:
        if not _is_whole(folder):
            with locked(folder.with_name(f"{key}.lock")):
                if not _is_whole(folder):
                    _build(folder, open_source())
    except OSError as error:
        raise CacheError(
            f"data.cache_dir={cache_folder(config)}: cannot be used ({error.strerror or error}); "
            "set it to a folder with room that you may write to"
        ) from error
    meta = json.loads((folder / "meta.json").read_text())
    return CachedSet(
        classes=tuple(meta["classes"]),
        train=_open_split(folder, "train", meta["shapes"]["train"]),
        test=_open_split(folder, "test", meta["shapes"]["test"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        skipped=meta["skipped"],
    )


def in_memory(source: Source) -> CachedSet:
    """The same without a cache: for a set that is small."""
    train, test = (_join(chunks) for chunks in (source.train, source.test))
    mean, std = channel_moments(train.images)
    return CachedSet(tuple(source.classes), train, test, mean, std, source.skipped)


def _join(chunks: Iterable[Chunk]) -> Split:
    images, labels = zip(*chunks, strict=True)
    return Split(torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels)))


def _is_whole(folder: Path) -> bool:
    """False also where files are missing or cut, as by a copy that was broken off."""
    try:
        shapes = json.loads((folder / "meta.json").read_text())["shapes"]
        return all(
            (folder / f"{split}.images").stat().st_size == np.prod(shape)
            and (folder / f"{split}.labels").stat().st_size == 8 * shape[0]
            for split, shape in shapes.items()
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return False


def _build(folder: Path, source: Source) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed: the lock is ours
    partial.mkdir()
    try:
        shapes = {split: _write_split(partial, split, getattr(source, split)) for split in ("train", "test")}
        mean, std = channel_moments(_open_split(partial, "train", shapes["train"]).images)
        meta = {
            "classes": list(source.classes),
            "shapes": shapes,
            "mean": mean,
            "std": std,
            "skipped": source.skipped,
        }
        (partial / "meta.json").write_text(json.dumps(meta))
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_split(folder: Path, split: str, chunks: Iterable[Chunk]) -> tuple[int, ...]:
    count, shape = 0, (0, 0, 0)
    with (folder / f"{split}.images").open("wb") as images, (folder / f"{split}.labels").open("wb") as labels:
        for pixels, classes in chunks:
            images.write(np.ascontiguousarray(pixels, dtype=np.uint8).data)
            labels.write(np.asarray(classes, dtype=np.int64).data)
            count, shape = count + len(pixels), pixels.shape[1:]
    return (count, *shape)


def _open_split(folder: Path, split: str, shape: Sequence[int]) -> Split:
    """Maps the files: not shared in torch's sense, so that they are opened read-only and never changed."""
    images = torch.from_file(
        str(folder / f"{split}.images"), shared=False, size=int(np.prod(shape)), dtype=torch.uint8
    )
    labels = torch.from_file(str(folder / f"{split}.labels"), shared=False, size=shape[0], dtype=torch.int64)
    return Split(images.view(*shape), labels)
