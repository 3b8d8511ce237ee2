"""The `torch` feed's reader: decodes with torchvision, in processes beside the run, some requests ahead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.streaming.decoder import Decoder
from bnrepro.data.streaming.pool import Pool
from bnrepro.data.streaming.requests import Request, StreamSplit

MOST_WORKERS = 8
"""By itself; they decode 3,000 to 4,000 images a second, as much as a GPU takes."""


def default_workers() -> int:
    """One per core of this process, where torchrun shares them out, and at most `MOST_WORKERS`."""
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(MOST_WORKERS, max(1, cores))


class LoaderReader:
    """`Reader` on loader processes. They are started with the first request, and serve both sides."""

    def __init__(self, sides: Mapping[str, StreamSplit], config: DataConfig, device: torch.device) -> None:
        assert config.stream is not None  # the loaders saw to it
        stream = config.stream
        self._workers = default_workers() if stream.workers is None else stream.workers
        self._crop_size = stream.crop_size
        self._pins = device.type == "cuda"
        decoder = Decoder(stream.crop_size, stream.resize_size, stream.min_area, config.max_pixels)
        self._images = _Sides(sides, decoder)
        self._pool: Pool | None = None

    def images(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        for images in self._answers(requests):
            if isinstance(images, str):
                raise UsageError(images)
            yield images.pin_memory() if self._pins else images

    def _answers(self, requests: Iterable[Request]) -> Iterator[Tensor | str]:
        if self._workers:
            if self._pool is None:
                self._pool = Pool(self._workers, self._images.fill, self._crop_size)
            yield from self._pool.images(requests)
            return
        for request in requests:
            shape = (len(request.indices), 3, self._crop_size, self._crop_size)
            # as the decoder has them, and as the network wants them: nobody has to turn them around
            images = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
            yield self._images.fill(request, images) or images


class _Sides:
    """What a loader process needs: the images, and how to decode them."""

    def __init__(self, sides: Mapping[str, StreamSplit], decoder: Decoder) -> None:
        self._sides = sides
        self._decoder = decoder

    def fill(self, request: Request, images: Tensor) -> str:
        """Write the images of `request` into the first of `images`; a line on the first that is broken."""
        side = self._sides[request.side]
        for i, index in enumerate(request.indices):
            uniform = None if request.uniform is None else request.uniform[i]
            try:
                images[i] = side.crop(int(index), uniform, self._decoder)
            except UsageError as error:
                return str(error)
        return ""
