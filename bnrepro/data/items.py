"""(image, label) pairs of a data set of the user's own, as pixels and class numbers, checked one by one."""

from __future__ import annotations

import operator
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.decode import resized, to_rgb

Item = tuple[np.ndarray, int]
"""Pixels `(H, W, C)` uint8 and the number of the class."""
ROUND = 1e-6
"""How far beyond 0…1 a float32 image may be by rounding."""


class Unreadable(Exception):
    """The user's data set raised an error for an image; the text is a line on it."""


class Items:
    """One side. An image may be Pillow's, an array `(H, W)` or `(H, W, C)`, or a tensor `(C, H, W)`.

    uint8, or floating-point values in 0…1, which are rounded to 256 levels: normalizing and augmenting is
    bnrepro's. A label is a whole number from 0.
    """

    def __init__(self, dataset: Any, side: str, config: DataConfig) -> None:
        self.dataset = dataset
        self.side = side
        self.where = f"data.factory={config.factory}"
        self.image_size = config.image_size
        self.by_index = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        if not self.by_index and not hasattr(dataset, "__iter__"):
            raise UsageError(
                f"{self.where}: gives a {type(dataset).__name__} for the {side} set; give (image, label) "
                "pairs, with a length and an index or to iterate over"
            )

    @property
    def count(self) -> int | None:
        """None where it is not known before the end."""
        return len(self.dataset) if hasattr(self.dataset, "__len__") else None

    def name(self, index: int) -> str:
        return f"{self.side}[{index}]"

    def read(self, index: int) -> Item:
        """Raises `Unreadable`, and `UsageError` for what is not an (image, label) pair."""
        try:
            item = self.dataset[index]
        except Exception as error:  # the user's code may raise anything
            raise Unreadable(in_a_line(error)) from error
        return self._checked(index, item)

    def __iter__(self) -> Iterator[Item | Unreadable]:
        """All of them, in order; in its place, why one cannot be read. Raises `UsageError`."""
        if self.by_index:
            for index in range(len(self.dataset)):
                try:
                    yield self.read(index)
                except Unreadable as error:
                    yield error
            return
        index = 0
        try:
            for index, item in enumerate(self.dataset):
                yield self._checked(index, item)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"{self.where}: {self.name(index)} or the next: {in_a_line(error)}") from error

    def _checked(self, index: int, item: Any) -> Item:
        try:
            image, label = item
        except (TypeError, ValueError) as error:
            raise self._wrong(index, f"is a {type(item).__name__}, not a pair (image, label)") from error
        try:
            return to_pixels(image, self.image_size), to_class(label)
        except ValueError as error:
            raise self._wrong(index, str(error)) from error

    def _wrong(self, index: int, what: str) -> UsageError:
        return UsageError(f"{self.where}: {self.name(index)} {what}")


def to_pixels(image: Any, image_size: int | None) -> np.ndarray:
    """`(H, W, C)` uint8 of an image in any of the forms that `Items` takes. Raises ValueError."""
    if isinstance(image, Image.Image):
        gray = image.mode in ("1", "L")
        pixels = np.asarray(image.convert("L") if gray else to_rgb(image))
    elif isinstance(image, torch.Tensor):
        pixels = image.detach().cpu().numpy()
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    elif isinstance(image, np.ndarray):
        pixels = image
    else:
        raise ValueError(f"has a {type(image).__name__} for an image, not Pillow's, an array or a tensor")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not pixels.size:
        raise ValueError(f"has an image of shape {tuple(np.shape(image))}")
    pixels = _bytes(pixels)
    return pixels if image_size is None else _resized(pixels, image_size)


def _bytes(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == "f":
        if not (pixels.min() >= -ROUND and pixels.max() <= 1 + ROUND):  # nor for a NaN
            raise ValueError(
                f"has values from {pixels.min():g} to {pixels.max():g}: give uint8, or 0…1, not normalized"
            )
        return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind in "iu" and pixels.min() >= 0 and pixels.max() <= 255:
        return pixels.astype(np.uint8)
    raise ValueError(f"has an image of {pixels.dtype} beyond 0…255: give uint8, or floating-point 0…1")


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    channels = pixels.shape[2]
    if channels not in (1, 3):
        raise ValueError(f"has {channels} channels: data.image_size takes 1 or 3")
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    return np.asarray(resized(image, size)).reshape(size, size, channels)


def to_class(label: Any) -> int:
    """The number of a class from a whole number, or an array or tensor of one. Raises ValueError."""
    try:
        number = operator.index(label.item() if hasattr(label, "item") else label)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"has a label that is not a whole number: {str(label)[:40]}") from error
    if number < 0:
        raise ValueError(f"has the label {number}: classes are numbered from 0")
    return number


def in_a_line(error: Exception) -> str:
    """What the user's code raised, and where: in the last line before it goes on into a library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if "site-packages" not in frame.filename and Path(frame.filename).is_file()
    ]
    last = (own or frames)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
