"""A resized copy of a streamed set: decoding it costs a fraction, and every file has been read once."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from bnrepro.config.errors import UsageError
from bnrepro.data.decode import (
    JPEG_SUFFIXES,
    TooLarge,
    open_image,
    quiet_pillow,
    read_image,
    to_rgb,
    why_unreadable,
)
from bnrepro.data.folder_tree import refuse
from bnrepro.data.streaming.dataset import StreamedDataset
from bnrepro.data.streaming.decoder import JPEG, resized_shape
from bnrepro.data.streaming.listing import FileSplit
from bnrepro.rundir.files import make_directory, storing, write_bytes, write_json
from bnrepro.rundir.reading import read_json
from bnrepro.rundir.schema import check, truth, whole

QUALITY = 95
MARK = "prepared.json"
"""In the root of a copy: how it was made, and whether all of it is there."""
SAMPLED = 64
"""Files that the space is estimated from."""
MARGIN = 1.1
BLOCK = 1024
"""Files under way at once: bounds the wait after Ctrl-C."""
SHOWN = 3
MOST_MARK_BYTES = 2**16


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Path


@dataclass(frozen=True)
class _Jobs(Sequence[_Job]):
    """One per image, made when asked for: a million of them would take a gigabyte."""

    train: FileSplit
    test: FileSplit
    classes: Sequence[str]
    out: Path
    size: int
    """Pixels of the shorter side."""
    max_pixels: int

    def __len__(self) -> int:
        return len(self.train) + len(self.test)

    @overload
    def __getitem__(self, index: int) -> _Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Job]: ...
    def __getitem__(self, index: int | slice) -> _Job | list[_Job]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        if not 0 <= index < len(self):
            raise IndexError(index)
        first = len(self.train)
        side, split = ("train", self.train) if index < first else ("val", self.test)
        place = index if index < first else index - first
        path = Path(split.names[place])
        below = Path(*path.parts[2:]) if len(path.parts) > 2 else Path(path.name)  # flat val/
        target = self.out / side / self.classes[int(split.labels[place])] / below
        if target.suffix.lower() not in JPEG_SUFFIXES:
            target = target.with_name(f"{target.name}.jpg")
        return _Job(split.root / path, target)


def prepare(dataset: StreamedDataset, out: Path, size: int, max_pixels: int) -> None:
    """Write a copy of all images to `out`, `train/<class>/…` and `val/<class>/…`, resized.

    The shorter side is at most `size`; smaller JPEGs are copied as they are. The same command continues an
    interrupted one: a file that is there is whole. Raises `StorageError` where `out` cannot be written, and
    `UsageError` where the disk is too small, `out` holds another copy, an image has more than `max_pixels`,
    or files are broken (all are read first, the first of them named).
    """
    train, test = dataset.train, dataset.test
    if not isinstance(train, FileSplit) or not isinstance(test, FileSplit):
        raise UsageError(f"{dataset.name}: only files can be prepared; resize what your factory returns")
    jobs = _Jobs(train, test, dataset.classes, out, size, max_pixels)
    with storing(out):
        _open_copy(out, size)
        left = [i for i, job in enumerate(jobs) if not job.target.exists()]
        _check_space(jobs, left)
        broken = _convert_all(jobs, left)
    if broken:
        files = "; ".join(broken[:SHOWN])
        more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise UsageError(
            f"data.root: {len(broken)} files are not readable images: {files}{more}; repair them"
        )
    _check_counts(jobs)
    _write_mark(out, {"size": size, "quality": QUALITY, "images": len(jobs), "complete": True})


def read_mark(root: Path) -> dict[str, Any] | None:
    """How a copy was made; None where `root` is none. Raises `UsageError` where it is not complete."""
    try:
        mark = _mark(root) if root.is_dir() else None
    except OSError as error:
        raise refuse(root, f"cannot be read ({error.strerror})") from error
    if mark is not None and not mark["complete"]:
        raise UsageError(
            f"data.root: {root} is an unfinished copy; `bnrepro data prepare` with the same arguments ends it"
        )
    return mark


def _mark(folder: Path) -> dict[str, Any] | None:
    path = folder / MARK
    try:
        return check(path, read_json(path, MOST_MARK_BYTES), {"size": whole(1), "complete": truth()})
    except FileNotFoundError:
        return None


def _open_copy(out: Path, size: int) -> None:
    if (mark := _mark(out)) is None:
        make_directory(out)
        if any(out.iterdir()):
            raise UsageError(f"--out {out}: holds something else; choose a new folder")
    elif mark["size"] != size:
        raise UsageError(f"--out {out}: holds a copy of size {mark['size']}; choose another folder")
    _write_mark(out, {"size": size, "quality": QUALITY, "complete": False})


def _write_mark(out: Path, mark: dict[str, Any]) -> None:
    write_json(out / MARK, mark)


def _check_space(jobs: _Jobs, left: Sequence[int]) -> None:
    """From files spread over the whole set; broken ones are reported later."""
    bytes_of: list[int] = []
    for i in left[:: max(1, len(left) // SAMPLED)]:
        try:
            bytes_of.append(len(convert(jobs[i].source, jobs.size, jobs.max_pixels)))
        except TooLarge:
            raise
        except Exception:
            continue
    if not bytes_of:
        return
    need = MARGIN * float(np.mean(bytes_of)) * len(left)
    free = shutil.disk_usage(jobs.out).free
    if need > free:
        raise UsageError(
            f"--out {jobs.out}: the copy needs about {need / 2**30:.1f} GiB and {free / 2**30:.1f} are free; "
            "choose another disk or a smaller --size"
        )


def _convert_all(jobs: _Jobs, left: Sequence[int]) -> list[str]:
    """Convert in parallel; the files that could not be, each with the reason."""
    broken: list[str] = []
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads,  # Pillow works outside Python's lock
        Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress,
    ):
        line = progress.add_task("Resizing", total=len(jobs), completed=len(jobs) - len(left))
        for start in range(0, len(left), BLOCK):
            block = left[start : start + BLOCK]
            with quiet_pillow():
                reasons = list(threads.map(lambda i: _convert(jobs, jobs[i]), block))
            broken += [reason for reason in reasons if reason]
            progress.advance(line, len(block))
    return broken


def _convert(jobs: _Jobs, job: _Job) -> str | None:
    """Write one file; what is wrong with it, if anything."""
    try:
        data = convert(job.source, jobs.size, jobs.max_pixels)
    except TooLarge:
        raise
    # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and more for a broken file.
    except Exception as error:
        return f"{job.source} ({why_unreadable(error, job.source)})"
    make_directory(job.target.parent)
    write_bytes(job.target, data)
    return None


def convert(path: Path, size: int, max_pixels: int) -> bytes:
    """An image file as a JPEG whose shorter side is at most `size`, as evaluation reads and resizes it.

    Raises `TooLarge`, and what Pillow does.
    """
    data = read_image(path)
    with open_image(data, path, max_pixels) as image:
        rgb = to_rgb(image)
        plain = image.mode in ("RGB", "L") and data.startswith(JPEG)
    if min(rgb.size) <= size and plain:
        return data
    if min(rgb.size) > size:
        height, width = resized_shape(rgb.height, rgb.width, size)
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _check_counts(jobs: _Jobs) -> None:
    """Raises `UsageError` where the copy does not hold one file for every image."""
    found = sum(
        not name.startswith(".")
        for side in ("train", "val")
        for _, _, names in os.walk(jobs.out / side)
        for name in names
    )
    missing = sum(not job.target.exists() for job in jobs)
    if missing or found != len(jobs):
        raise UsageError(
            f"--out {jobs.out}: holds {found} files for {len(jobs)} images ({missing} missing); remove "
            "what is not of it, and start again"
        )
