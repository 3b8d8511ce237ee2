"""A resized copy of a streamed set: decoding it costs a fraction, and every file has been read once."""

from __future__ import annotations

import io
import json
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
from bnrepro.data.decode import JPEG_SUFFIXES, to_rgb
from bnrepro.data.folder_tree import refuse
from bnrepro.data.streaming.dataset import StreamedDataset
from bnrepro.data.streaming.decoder import JPEG, resized_shape
from bnrepro.rundir.files import storing, write_bytes, write_json

QUALITY = 95
MARK = "prepared.json"
"""In the root of a copy: how it was made, and whether all of it is there."""
SAMPLED = 64
"""Files that the space is estimated from."""
MARGIN = 1.1
BLOCK = 1024
"""Files under way at once: bounds the wait after Ctrl-C."""
SHOWN = 3


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Path


@dataclass(frozen=True)
class _Jobs(Sequence[_Job]):
    """One per image, made when asked for: a million of them would take a gigabyte."""

    dataset: StreamedDataset
    out: Path

    def __len__(self) -> int:
        return len(self.dataset.train) + len(self.dataset.test)

    @overload
    def __getitem__(self, index: int) -> _Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Job]: ...
    def __getitem__(self, index: int | slice) -> _Job | list[_Job]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        if not 0 <= index < len(self):
            raise IndexError(index)
        first = len(self.dataset.train)
        side, split = ("train", self.dataset.train) if index < first else ("val", self.dataset.test)
        place = index if index < first else index - first
        path = Path(split.names[place])
        below = Path(*path.parts[2:]) if len(path.parts) > 2 else Path(path.name)  # flat val/
        target = self.out / side / self.dataset.classes[int(split.labels[place])] / below
        if target.suffix.lower() not in JPEG_SUFFIXES:
            target = target.with_name(f"{target.name}.jpg")
        return _Job(split.root / path, target)


def prepare(dataset: StreamedDataset, out: Path, size: int) -> None:
    """Write a copy of all images to `out`, `train/<class>/…` and `val/<class>/…`, resized.

    The shorter side is at most `size`; smaller JPEGs are copied as they are. The same command continues an
    interrupted one: a file that is there is whole. Raises `UsageError` where the disk is too small, `out`
    holds another copy, or files are broken (all are read first, the first of them named), and `StorageError`
    where `out` cannot be written.
    """
    jobs = _Jobs(dataset, out)
    with storing(out):
        _open_copy(out, size)
        left = [i for i, job in enumerate(jobs) if not job.target.exists()]
        _check_space(jobs, left, size)
        broken = _convert_all(jobs, left, size)
    if broken:
        files = "; ".join(broken[:SHOWN])
        more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise UsageError(f"data.root: {len(broken)} files are not images: {files}{more}; repair them")
    _check_counts(jobs)
    _write_mark(out, {"size": size, "quality": QUALITY, "images": len(jobs), "complete": True})


def read_mark(root: Path) -> dict[str, Any] | None:
    """How a copy was made; None where `root` is none. Raises `UsageError` where it is not complete."""
    try:
        mark = json.loads((root / MARK).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise refuse(root / MARK, f"cannot be read ({error.strerror})") from error
    if not mark["complete"]:
        raise UsageError(
            f"data.root: {root} is an unfinished copy; `bnrepro data prepare` with the same arguments ends it"
        )
    return mark


def _open_copy(out: Path, size: int) -> None:
    try:
        mark = json.loads((out / MARK).read_text())
    except FileNotFoundError:
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"--out {out}: holds something else; choose a new folder") from None
        out.mkdir(parents=True, exist_ok=True)
    else:
        if mark["size"] != size:
            raise UsageError(f"--out {out}: holds a copy of size {mark['size']}; choose another folder")
    _write_mark(out, {"size": size, "quality": QUALITY, "complete": False})


def _write_mark(out: Path, mark: dict[str, Any]) -> None:
    write_json(out / MARK, mark)


def _check_space(jobs: _Jobs, left: Sequence[int], size: int) -> None:
    """From files spread over the whole set; broken ones are reported later."""
    bytes_of: list[int] = []
    for i in left[:: max(1, len(left) // SAMPLED)]:
        try:
            bytes_of.append(len(convert(jobs[i].source.read_bytes(), size)))
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


def _convert_all(jobs: _Jobs, left: Sequence[int], size: int) -> list[str]:
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
            broken += [reason for reason in threads.map(lambda i: _convert(jobs[i], size), block) if reason]
            progress.advance(line, len(block))
    return broken


def _convert(job: _Job, size: int) -> str | None:
    """Write one file; what is wrong with it, if anything."""
    try:
        data = convert(job.source.read_bytes(), size)
    # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and more for a broken file.
    except Exception as error:
        return f"{job.source} ({error})".replace("\n", " ")
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(job.target, data)
    return None


def convert(data: bytes, size: int) -> bytes:
    """An image file as a JPEG whose shorter side is at most `size`, as evaluation reads and resizes it."""
    with Image.open(io.BytesIO(data)) as image:
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
