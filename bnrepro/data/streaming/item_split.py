"""One side of a data set of the user's own, read while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.errors import UsageError
from bnrepro.data.items import Items, Unreadable
from bnrepro.data.streaming.decoder import Decoder

TARGETS = ("targets", "labels")
"""Where torchvision's data sets, and most others, keep the class of every image."""


@dataclass(frozen=True)
class ItemSplit:
    """Some items, by index."""

    items: Items
    rows: np.ndarray
    """`(N,)` int64: which ones."""
    labels: Tensor
    """`(N,)` int64."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> ItemSplit:
        return ItemSplit(self.items, self.rows[indices.numpy()], self.labels[indices])

    def crop(self, index: int, uniform: np.ndarray | None, decoder: Decoder) -> Tensor:
        """As `FileSplit.crop`."""
        try:
            pixels, _ = self.items.read(int(self.rows[index]))
        except Unreadable as error:
            raise UsageError(f"{self.items.where}: {self._name(index)} cannot be read ({error})") from error
        if pixels.shape[2] not in (1, 3):
            channels = f"{pixels.shape[2]} channels; streamed images have 1 or 3"
            raise UsageError(f"{self.items.where}: {self._name(index)} has {channels}")
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).expand(3, -1, -1)
        return decoder.test_part(image) if uniform is None else decoder.train_part(image, uniform)

    def _name(self, index: int) -> str:
        return self.items.name(int(self.rows[index]))


def item_split(items: Items) -> ItemSplit:
    """All items. Raises `UsageError` where they have no index, or their classes are not known."""
    labels = _targets(items.dataset) if items.by_index else None
    if labels is None or len(labels) != items.count or not len(labels) or int(labels.min()) < 0:
        raise UsageError(
            f"{items.where}: the {items.side} set has no index, length or attribute `targets` with the class "
            "of every image, which data that is read while training needs"
        )
    return ItemSplit(items, np.arange(len(labels)), labels)


def _targets(dataset: Any) -> Tensor | None:
    """`(N,)` int64, also of a `torch.utils.data.Subset`; None where it does not say."""
    if (found := next((getattr(dataset, key) for key in TARGETS if hasattr(dataset, key)), None)) is not None:
        try:
            return torch.as_tensor(np.asarray(found)).to(torch.int64).reshape(-1)
        except (TypeError, ValueError):
            return None
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        whole = _targets(dataset.dataset)
        return None if whole is None else whole[torch.as_tensor(dataset.indices)]
    return None
