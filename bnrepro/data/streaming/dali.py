"""The `dali` feed's reader: NVIDIA DALI decodes, on the GPU where there is one, in threads elsewhere."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig, StreamConfig
from bnrepro.data.decode import TooLarge, check_pixels, read_image, why_unreadable
from bnrepro.data.streaming.decoder import decode, jpeg_shape, resized_shape
from bnrepro.data.streaming.draws import crop_window
from bnrepro.data.streaming.listing import FileSplit
from bnrepro.data.streaming.loader import default_workers
from bnrepro.data.streaming.requests import UNIT, Request, unreadable

AHEAD = 3
"""Requests under way in the pipeline."""
INPUTS = 5
"""File, start and shape of the window, size that it gets, start of the crop in that."""


class DaliReader:
    """`Reader` on one pipeline: cut a window out while decoding, resize it, cut the crop out of that.

    The windows are those that the `torch` reader takes from the same draws; pixels differ by the decoders'
    and the resizers' rounding.
    """

    def __init__(self, sides: Mapping[str, FileSplit], config: DataConfig, device: torch.device) -> None:
        assert config.stream is not None  # the loaders saw to it
        self._sides = sides
        self._config = config.stream
        self._max_pixels = config.max_pixels
        self._requests: Iterator[Request] = iter(())
        self._under_way: deque[list[Path]] = deque()
        self._pipeline = _pipeline(self._next, config.stream, device)

    def images(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        self._requests = iter(requests)
        try:
            while (images := self._run()) is not None:
                yield images
        except GeneratorExit:  # broken off: nobody wants what is under way
            self._requests = iter(())
            while self._run() is not None:
                continue
            raise

    def _run(self) -> Tensor | None:
        """The next request's images; None where there is none, and the pipeline is ready for others."""
        try:
            (output,) = self._pipeline.run()
        except StopIteration:
            self._pipeline.reset()
            return None
        except RuntimeError as error:
            self._name_broken_file(error)
            raise
        self._under_way.popleft()
        return torch.from_dlpack(output.as_tensor()).clone()

    def _next(self) -> list[list[np.ndarray]]:
        """The pipeline asks for its inputs, some requests ahead."""
        request = next(self._requests)
        split = self._sides[request.side]
        paths = [split.root / split.names[int(index)] for index in request.indices]
        columns: list[list[np.ndarray]] = [[] for _ in range(INPUTS)]
        for i, path in enumerate(paths):
            try:
                data = read_image(path)
                check_pixels(path, *_shape(data), self._max_pixels)
                places = self._places(data, None if request.uniform is None else request.uniform[i])
            except TooLarge:
                raise
            except (OSError, SyntaxError, ValueError) as error:
                raise UsageError(unreadable(path, why_unreadable(error, path))) from error
            columns[0].append(np.frombuffer(data, np.uint8))
            for column, place in zip(columns[1:], places, strict=True):
                column.append(np.array(place, np.int32))
        self._under_way.append(paths)
        return columns

    def _places(self, data: bytes, uniform: np.ndarray | None) -> tuple[tuple[int, int], ...]:
        """Where the window starts, its shape, what it is resized to, and where the crop starts in that."""
        height, width = _shape(data)
        crop = self._config.crop_size
        if uniform is not None:
            top, left, h, w = crop_window(uniform, height, width, self._config.min_area)
            return (top, left), (h, w), (crop, crop), (0, 0)
        size = resized_shape(height, width, self._config.resize_size)
        start = (round((size[0] - crop) / 2), round((size[1] - crop) / 2))  # as torchvision's center_crop
        return (0, 0), (height, width), size, start

    def _name_broken_file(self, error: Exception) -> None:
        """Raises `UsageError`: DALI does not say which one it was."""
        for path in self._under_way[0]:
            try:
                decode(read_image(path), path, self._max_pixels)
            except Exception as reason:
                raise UsageError(unreadable(path, why_unreadable(reason, path))) from error


def _shape(data: bytes) -> tuple[int, int]:
    if (shape := jpeg_shape(data)) is not None:
        return shape
    with Image.open(io.BytesIO(data)) as image:
        return image.height, image.width


def _pipeline(source: Callable[[], Any], config: StreamConfig, device: torch.device) -> Any:
    try:
        from nvidia.dali import fn, types
        from nvidia.dali.pipeline import Pipeline
    except ImportError as error:
        raise UsageError(
            f"data.stream.feed=dali: NVIDIA DALI cannot be imported ({error}); install bnrepro[dali], or set "
            "data.stream.feed=torch"
        ) from error
    on_gpu = device.type == "cuda"
    threads = max(1, default_workers() if config.workers is None else config.workers)
    device_id = (device.index or torch.cuda.current_device()) if on_gpu else None
    pipeline = Pipeline(UNIT, threads, device_id, prefetch_queue_depth=AHEAD)
    with pipeline:
        data, start, shape, size, crop_start = fn.external_source(source, num_outputs=INPUTS)
        images = fn.decoders.image_slice(
            data,
            start=start,
            shape=shape,
            axis_names="HW",
            device="mixed" if on_gpu else "cpu",
            output_type=types.RGB,
        )
        images = fn.resize(images, size=fn.cast(size, dtype=types.FLOAT), interp_type=types.INTERP_LINEAR)
        crop = [config.crop_size, config.crop_size]
        images = fn.slice(images, start=crop_start, shape=crop, axis_names="HW")
        pipeline.set_outputs(fn.transpose(images, perm=[2, 0, 1]))
    pipeline.build()
    return pipeline
