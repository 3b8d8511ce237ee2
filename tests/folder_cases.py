"""Image folders with something wrong, and what has to come of each: for the suite and the campaign."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, PER_CLASS, CLASSES = 32, 8, ("dark", "light")
IMAGES = PER_CLASS * len(CLASSES)
"""On each side."""
SIDES = ("train", "val")
# a camera's model as a fraction, and orientation 6: Pillow's exif_transpose raises on it
ODD_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 0x0110, 5, 8, 17)
ODD_EXIF += struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4) + bytes(range(64))


@dataclass(frozen=True)
class Case:
    """One thing that is wrong on one side."""

    name: str
    break_: Callable[[Path, str], None]
    """Called with the root and the side."""
    named: str | None
    """What a refusal must name; None: it trains, on as many images as before."""
    corrupt: bool = False
    """May `data.skip_corrupt=true` leave it out? Then it trains on one image less."""


def image_tree(root: Path) -> Path:
    """`train/` and `val/` of two classes of eight 32×32 PNGs that differ in brightness."""
    rng = np.random.default_rng(0)
    for side in SIDES:
        for label, name in enumerate(CLASSES):
            (root / side / name).mkdir(parents=True)
            for i in range(PER_CLASS):
                pixels = rng.integers(128 * label, 128 * label + 128, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / side / name / f"{i}.png")
    return root


def first(root: Path, side: str) -> Path:
    return root / side / "dark" / "0.png"


def other(root: Path, side: str) -> Path:
    """The same image's place on the other side."""
    return first(root, SIDES[side == "train"])


def empty(root: Path, side: str) -> None:
    first(root, side).write_bytes(b"")


def cut(root: Path, side: str) -> None:
    path = first(root, side)
    path.write_bytes(path.read_bytes()[:200])


def text(root: Path, side: str) -> None:
    first(root, side).write_text("<html>not found</html>")


def pipe(root: Path, side: str) -> None:
    first(root, side).unlink()
    os.mkfifo(first(root, side))


def endless(root: Path, side: str) -> None:
    first(root, side).unlink()
    first(root, side).symlink_to("/dev/zero")


def dangling(root: Path, side: str) -> None:
    first(root, side).unlink()
    first(root, side).symlink_to("nowhere.png")


def thumbnails(root: Path, side: str) -> None:
    """Of a network storage, inside of a class."""
    folder = first(root, side).parent / "@eaDir" / "0.png"
    folder.mkdir(parents=True)
    Image.new("RGB", (SIDE, SIDE)).save(folder / "SYNOPHOTO_THUMB_M.png")


def litter(root: Path, side: str) -> None:
    (first(root, side).parent / "Thumbs.db").write_bytes(b"\0")
    (first(root, side).parent / "desktop.ini").write_bytes(b"\0")


def archive_litter(root: Path, side: str) -> None:
    """As a class of its own."""
    folder = root / side / "__MACOSX"
    folder.mkdir()
    Image.new("RGB", (SIDE, SIDE)).save(folder / "0.png")


def one_level_more(root: Path, side: str) -> None:
    (root / side / "all").mkdir()
    for name in CLASSES:
        (root / side / name).rename(root / side / "all" / name)
    shutil.copytree(root / side / "all", root / side / "more")
    for name in ("all", "more"):  # as many classes as before, by other names on both sides
        for there in SIDES:
            if there != side:
                shutil.copytree(root / there / "dark", root / there / name / "dark")
    for there in SIDES:
        if there != side:
            for name in CLASSES:
                shutil.rmtree(root / there / name)


def linked_class(root: Path, side: str) -> None:
    shutil.rmtree(first(root, side).parent)
    first(root, side).parent.symlink_to(other(root, side).parent)


def linked_file(root: Path, side: str) -> None:
    first(root, side).unlink()
    first(root, side).hardlink_to(other(root, side))


def loop(root: Path, side: str) -> None:
    (first(root, side).parent / "loop").symlink_to(root / side)


def missing_class(root: Path, side: str) -> None:
    shutil.rmtree(root / side / "light")


def hollow_class(root: Path, side: str) -> None:
    missing_class(root, side)
    (root / side / "light").mkdir()


def odd_name(root: Path, side: str) -> None:
    first(root, side).rename(first(root, side).parent / os.fsdecode(b"caf\xe9\n\x1b[31m.png"))


def odd_exif(root: Path, side: str) -> None:
    with Image.open(first(root, side)) as image:
        image.save(first(root, side).with_suffix(".jpg"), quality=95, exif=ODD_EXIF)
    first(root, side).unlink()


def bomb(root: Path, side: str) -> None:
    """200 million black pixels in 25 kB: a scan of 20,000 × 10,000 is as large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 10_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_000 // 8 + 1) * 10_000)
    first(root, side).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


CASES = (
    Case("empty file", empty, "0.png", corrupt=True),
    Case("cut file", cut, "0.png", corrupt=True),
    Case("text called .png", text, "0.png", corrupt=True),
    Case("pipe", pipe, "0.png", corrupt=True),
    Case("link to /dev/zero", endless, "0.png", corrupt=True),
    Case("link to nothing", dangling, "0.png", corrupt=True),
    Case("thumbnails in @eaDir", thumbnails, None),
    Case("Thumbs.db, desktop.ini", litter, None),
    Case("__MACOSX beside the classes", archive_litter, None),
    Case("one level more", one_level_more, "all"),
    Case("class linked to the other side", linked_class, "dark"),
    Case("file linked to the other side", linked_file, "0.png"),
    Case("folder within itself", loop, "loop"),
    Case("class missing", missing_class, "light"),
    Case("class without files", hollow_class, "light"),
    Case("name that is not UTF-8", odd_name, None),
    Case("odd EXIF block", odd_exif, None),
    Case("200 million pixels", bomb, "data.max_pixels"),
)
READERS = {
    "image_folder": ("data=image_folder", "data.padding=2"),
    "image_folder, skip_corrupt": ("data=image_folder", "data.padding=2", "data.skip_corrupt=true"),
    "image_stream": (
        *("data=image_stream", "data.stream.crop_size=32", "data.stream.resize_size=32"),
        "data.stream.workers=1",
    ),
}


def expected(case: Case, reader: str, side: str) -> tuple[int, int] | None:
    """How many training and test images it trains on; None where it is refused."""
    skips = case.corrupt and "skip_corrupt" in reader
    if case.named is not None and not skips:
        return None
    return (IMAGES - (skips and side == "train"), IMAGES - (skips and side == "val"))
