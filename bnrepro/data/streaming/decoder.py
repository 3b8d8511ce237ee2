"""Image files to uint8 crops of one size, in the loader processes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bnrepro.data.decode import check_pixels, open_image, read_image, to_rgb
from bnrepro.data.streaming.draws import Window, crop_window

JPEG = b"\xff\xd8"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""The markers that the image's size stands behind (ITU-T T.81, table B.1)."""
REDUCTIONS = (8, 4, 2)
"""The scales 1/n at which libjpeg decodes for less than the whole."""


class Decoder:
    """Reads, decodes, cuts and resizes; bilinear with antialiasing, on uint8, as torchvision's transforms v2
    (which take 0.05 ms longer per image to get to the same call).

    As torchvision's loader and the paper's reference, it does not turn images by their EXIF tag.
    """

    def __init__(self, crop_size: int, resize_size: int, min_area: float, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.crop_size = crop_size
        self.resize_size = resize_size
        self.min_area = min_area

    def train_crop(self, path: Path, uniform: np.ndarray) -> Tensor:
        """A random resized crop, `(3, crop_size, crop_size)` uint8. `uniform`: a row of `StreamDraws`."""
        data = read_image(path)
        shape = jpeg_shape(data)
        if shape is not None:
            check_pixels(path, *shape, self.max_pixels)
        if shape is not None and min(shape) >= REDUCTIONS[-1] * self.crop_size:
            window = crop_window(uniform, *shape, self.min_area)
            if reduction := self._reduction(window):
                return self._reduced_crop(data, window, reduction)
        return self.train_part(decode(data, path, self.max_pixels), uniform)

    def train_part(self, image: Tensor, uniform: np.ndarray) -> Tensor:
        """The same of an image `(3, H, W)` uint8."""
        shape = (image.shape[1], image.shape[2])
        top, left, height, width = crop_window(uniform, *shape, self.min_area)
        cut = image[None, :, top : top + height, left : left + width]
        # 0.21 ms instead of 0.34 for 500×375 to 224: a part that is not contiguous is resized on a slower way
        cut = cut.contiguous(memory_format=torch.channels_last)
        size = (self.crop_size, self.crop_size)
        return F.interpolate(cut, size, mode="bilinear", antialias=True)[0]

    def test_crop(self, path: Path) -> Tensor:
        """Shorter side to `resize_size`, then the centre; `(3, crop_size, crop_size)` uint8."""
        return self.test_part(decode(read_image(path), path, self.max_pixels))

    def test_part(self, image: Tensor) -> Tensor:
        """The same of an image `(3, H, W)` uint8."""
        from torchvision.transforms.v2 import functional

        image = functional.resize(image, [self.resize_size])
        return functional.center_crop(image, [self.crop_size])

    def _reduction(self, window: Window) -> int | None:
        _, _, height, width = window
        return next((n for n in REDUCTIONS if min(height, width) >= n * self.crop_size), None)

    def _reduced_crop(self, data: bytes, window: Window, reduction: int) -> Tensor:
        """From the image decoded at 1/`reduction`, which leaves at least as many pixels as the crop has."""
        top, left, height, width = window
        with Image.open(io.BytesIO(data)) as image:
            full = image.size
            image.draft("RGB", (full[0] // reduction, full[1] // reduction))
            rgb = to_rgb(image)
        x, y = rgb.width / full[0], rgb.height / full[1]
        box = (left * x, top * y, (left + width) * x, (top + height) * y)
        crop = rgb.resize((self.crop_size, self.crop_size), Image.Resampling.BILINEAR, box=box)
        return torch.from_numpy(np.array(crop)).permute(2, 0, 1)


def decode(data: bytes, path: Path, max_pixels: int) -> Tensor:
    """The pixels of an image file as RGB, `(3, H, W)` uint8, whatever its name says.

    JPEGs through torchvision (grayscale and CMYK too), everything else through Pillow. Raises `TooLarge` for
    an image of more than `max_pixels`, and what they raise for a file that is not a whole image.
    """
    if not data.startswith(JPEG):
        with open_image(data, path, max_pixels) as image:
            return torch.from_numpy(np.array(to_rgb(image))).permute(2, 0, 1)
    if (shape := jpeg_shape(data)) is not None:
        check_pixels(path, *shape, max_pixels)
    else:
        open_image(data, path, max_pixels).close()
    from torchvision.io import ImageReadMode, decode_jpeg

    with warnings.catch_warnings():
        # torchvision 0.29 announces that its decoders will move to torchcodec.
        warnings.simplefilter("ignore", DeprecationWarning)
        return decode_jpeg(torch.from_numpy(np.frombuffer(data, np.uint8).copy()), ImageReadMode.RGB)


def resized_shape(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width with the shorter side at `shorter`, rounded as torchvision does."""
    if height <= width:
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def jpeg_shape(data: bytes) -> tuple[int, int] | None:
    """Height and width from a JPEG's header; None where it is not a JPEG, or not one that is known."""
    if not data.startswith(JPEG):
        return None
    position = len(JPEG)
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in FRAMES:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(height), int.from_bytes(width)
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return None
