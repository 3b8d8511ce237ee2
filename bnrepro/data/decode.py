"""Image files to RGB pixels."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from bnrepro.config.errors import Damaged, UsageError
from bnrepro.rundir.reading import open_regular

JPEG_SUFFIXES = (".jpeg", ".jpg", ".jpe", ".jfif")
SUFFIXES = (*JPEG_SUFFIXES, ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
TASK = 64
"""Files that a thread decodes in one go."""
BLOCK = 32 * TASK
"""Files that are decoded before the next are begun: bounds memory, and the wait after Ctrl-C."""
ORIENTATION = (0x0112, 3)
"""Tag and type (a 16-bit number)."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by the EXIF orientation (CIPA DC-008, 4.6.4)."""

Decoded = np.ndarray | str
"""Pixels `(H, W, 3)` uint8, or why there are none."""

Image.MAX_IMAGE_PIXELS = None  # data.max_pixels takes its place, and says which key allows more


class TooLarge(UsageError):
    """An image of more than `data.max_pixels`: `data.skip_corrupt` does not leave it out."""


def read_image(path: Path) -> bytes:
    """The contents of an image file. Raises OSError, also for a pipe or a device, which is not opened."""
    try:
        with open_regular(path) as file:
            return file.read()
    except Damaged as error:
        raise OSError(str(error).removeprefix(f"{path}: ")) from error


def open_image(data: bytes, path: Path, max_pixels: int) -> Image.Image:
    """Pillow's image, not decoded yet. Raises `TooLarge`, and whatever Pillow does."""
    image = Image.open(io.BytesIO(data))
    check_pixels(path, image.height, image.width, max_pixels)
    return image


def check_pixels(path: Path, height: int, width: int, max_pixels: int) -> None:
    """Raises `TooLarge` for an image whose pixels might not fit into memory."""
    if height * width > max_pixels:
        raise TooLarge(
            f"data.max_pixels={max_pixels}: {path} has {height}x{width} pixels (height x width); set "
            f"data.max_pixels={height * width} if it is what it should be, or remove it"
        )


def decode_image(path: Path, image_size: int | None = None, max_pixels: int = 2**62) -> np.ndarray:
    """The pixels of an image file as RGB, `(H, W, 3)` uint8.

    Turned upright by its EXIF tag. Grayscale of 8 and 16 bits, CMYK and palettes are converted;
    transparency is dropped, as torchvision's loader does. With `image_size` the shorter side is resized to
    it (bilinear, antialiased) and the centre cut out as a square. Raises `TooLarge` for an image of more than
    `max_pixels`, and whatever Pillow raises for a file that is not a whole image.
    """
    with open_image(read_image(path), path, max_pixels) as image:
        rgb = to_rgb(_upright(image))
    return np.asarray(rgb if image_size is None else resized(rgb, image_size))


def resized(image: Image.Image, size: int) -> Image.Image:
    """The shorter side resized to `size`, and the centre cut out as a square."""
    if image.size == (size, size):
        return image
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    smaller = image.resize((width, height), Image.Resampling.BILINEAR)
    return smaller.crop((left, top, left + size, top + size))


def _upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF orientation, of which nothing else is read.

    Pillow's `exif_transpose` writes the other tags anew, and fails on odd ones.
    """
    image.load()  # a TIFF turns itself
    turn = UPRIGHT.get(_orientation(image.info.get("exif", b"")))
    return image if turn is None else image.transpose(turn)


def _orientation(exif: bytes) -> int:
    """From the first directory of an EXIF block, which is a TIFF file; 0 where it does not say."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for i in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * i)
            if (tag, kind) == ORIENTATION:
                return int(value)
    except struct.error:  # it breaks off
        return 0
    return 0


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """In the block Pillow does not warn of odd tags in images that it can decode."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def to_rgb(image: Image.Image) -> Image.Image:
    """8 bits of red, green and blue from any of Pillow's modes. Raises ValueError where white is unknown."""
    if image.mode.startswith("I"):
        # Pillow would cut 16-bit values off at 255.
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("gray values beyond 16 bits")
        image = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point gray values have no known white")
    elif image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB, Pillow warns about transparent palettes
    return image.convert("RGB")


def decode_files(
    paths: Sequence[Path], image_size: int | None, max_pixels: int, title: str
) -> Iterator[list[Decoded]]:
    """Decodes `paths` in parallel and yields them in order, some thousand at a time.

    A progress line called `title` is shown on stderr where that is a terminal. Raises `TooLarge` for an
    image of more than `max_pixels`.

    Threads: 20,000 JPEGs of 32×32 took 5.6 s with 2 of them, 3.7 s with 2 processes and 5.8 s in a plain
    loop (2 cores; the time goes into opening files). Larger images decode outside Python's lock. It
    happens once, and processes can be started neither from daemonic workers nor from a script without a
    main guard.
    """
    workers = min(32, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as threads, progress_line(title, len(paths)) as advance:
        for start in range(0, len(paths), BLOCK):
            block = paths[start : start + BLOCK]
            tasks = [block[i : i + TASK] for i in range(0, len(block), TASK)]
            with quiet_pillow():
                parts = list(
                    threads.map(
                        lambda task: [_try_decode(path, image_size, max_pixels) for path in task], tasks
                    )
                )
            yield [decoded for part in parts for decoded in part]
            advance(len(block))


@contextmanager
def progress_line(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A line on stderr, where that is a terminal; call what it gives with the number of images done."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        line = progress.add_task(title, total=total)
        yield lambda images: progress.advance(line, images)


def _try_decode(path: Path, image_size: int | None, max_pixels: int) -> Decoded:
    try:
        return decode_image(path, image_size, max_pixels)
    # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and more for a broken file.
    except TooLarge:
        raise
    except Exception as error:
        return why_unreadable(error, path)


def why_unreadable(error: Exception, path: Path) -> str:
    """One line without the path; torchvision puts the place in its own source in front."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    text = text.rpartition(".cpp:")[2].partition(", ")[2] or text
    text = re.sub(r"<_io.BytesIO object at 0x[0-9a-f]+>", path.name, text)
    return text.replace(str(path), path.name)
