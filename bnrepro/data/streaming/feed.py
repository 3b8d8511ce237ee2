"""Batches of images that a reader decodes while the device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from bnrepro.data.feed import Batch, Part
from bnrepro.data.streaming.colour import Colour
from bnrepro.data.streaming.draws import StreamDraws, stream_draws
from bnrepro.data.streaming.requests import Reader, Request


class StreamFeed:
    """`Feed` of one side. Decoding, cutting and resizing happen in the reader, the colours on the device.

    `augment`: `none` (as in evaluation), `crop` (random resized crops, jitter and lighting noise) or
    `crop_flip` (and mirrored in half of the cases).
    """

    chunk_images = 64  # of 224×224 pixels; soon a pause between also where a step takes seconds

    def __init__(
        self, side: str, labels: Tensor, reader: Reader, colour: Colour, augment: str, image_values: int
    ) -> None:
        self.device = colour.device
        self.image_values = image_values
        self._side = side
        self._labels = labels
        self._reader = reader
        self._colour = colour
        self._augment = augment

    def __len__(self) -> int:
        return len(self._labels)

    def table(self, seed: int, epoch: int, stream: str = "train") -> StreamDraws:
        return stream_draws(seed, epoch, len(self), stream)

    def train_batches(self, table: StreamDraws, parts: Iterable[Part]) -> Iterator[Batch]:
        positions = torch.arange(len(self))

        def request(part: Part) -> Request:
            uniform = None if self._augment == "none" else table.uniform(positions[part].numpy())
            return Request(self._side, table.order[part].numpy(), uniform)

        return self._batches(request(part) for part in parts)

    def test_batches(self, parts: Iterable[Part]) -> Iterator[Batch]:
        indices = torch.arange(len(self))
        return self._batches(Request(self._side, indices[part].numpy(), None) for part in parts)

    def _batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        under_way: deque[Request] = deque()

        def units() -> Generator[Request]:
            for request in requests:
                for unit in request.units():
                    under_way.append(unit)
                    yield unit

        ready: list[Tensor] = []
        indices: list[np.ndarray] = []
        with closing(units()) as asked:  # else the reader would hold what it was asked, and that this feed
            for pixels in self._reader.images(asked):
                unit = under_way.popleft()
                ready.append(self._finish(pixels.to(self.device, non_blocking=True), unit))
                indices.append(unit.indices)
                if unit.is_last:
                    labels = self._labels[torch.from_numpy(np.concatenate(indices))]
                    yield torch.cat(ready), labels.to(self.device, non_blocking=True)
                    ready, indices = [], []

    def _finish(self, pixels: Tensor, unit: Request) -> Tensor:
        if unit.uniform is None:
            return self._colour.normalize(pixels)
        return self._colour.augment(pixels, unit.uniform, flip=self._augment == "crop_flip")
