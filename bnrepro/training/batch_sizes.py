"""How many images stand behind a step and behind a normalization, in each protocol. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import ProtocolConfig


@dataclass(frozen=True)
class BatchSizes:
    """One cell's numbers of images."""

    workers: int
    """The protocol's workers, simulated or real."""
    sgd_batch_size: int
    """Images behind one optimizer step, over all workers."""
    norm_batch_size: int
    """Images that share their batch statistics."""

    @property
    def step_images(self) -> int:
        """Images that a step passes through the network: more than behind its loss, where the statistics
        come from more (`protocol.norm_batch_size`)."""
        return max(self.sgd_batch_size, self.norm_batch_size)


def batch_sizes(protocol: ProtocolConfig, batch_size: int, all_workers: bool = False) -> BatchSizes:
    """The sizes that `batch_size`, images per worker, means under `protocol`.

    `all_workers`: for a norm whose statistics all workers share (`Traits.all_workers`). Raises `UsageError`
    where `fixed_sgd`'s SGD batch is not a multiple of `batch_size`, and where `protocol.norm_batch_size` is
    below it.
    """
    sizes = _protocol_sizes(protocol, batch_size)
    return replace(sizes, norm_batch_size=sizes.step_images) if all_workers else sizes


def _protocol_sizes(protocol: ProtocolConfig, batch_size: int) -> BatchSizes:
    if protocol.name == "coupled":
        norm = batch_size if protocol.norm_batch_size is None else protocol.norm_batch_size
        if norm < batch_size:
            raise UsageError(
                f"batch_size={batch_size}: must be at most protocol.norm_batch_size={norm}; "
                "protocol=fixed_sgd has normalization batches below the SGD batch"
            )
        return BatchSizes(1, batch_size, norm)
    if protocol.name == "workers":
        return BatchSizes(protocol.workers, protocol.workers * batch_size, batch_size)
    sgd = protocol.sgd_batch_size
    assert sgd is not None  # validate() has checked it
    if batch_size > sgd or sgd % batch_size:
        raise UsageError(f"batch_size={batch_size}: must divide protocol.sgd_batch_size={sgd} in fixed_sgd")
    return BatchSizes(sgd // batch_size, sgd, batch_size)


def steps_per_epoch(images: int, sizes: BatchSizes) -> int:
    """Steps of an epoch over `images` training images; the incomplete last batch is dropped.

    Raises `UsageError` where not one batch is full, or where no step finds the images for its statistics.
    """
    if sizes.sgd_batch_size > images:
        each = sizes.sgd_batch_size // sizes.workers
        raise UsageError(
            f"batch_size={each}: an SGD batch of {sizes.sgd_batch_size} ({sizes.workers} × {each}) is more "
            f"than the {images} training images; choose smaller batch sizes or fewer workers"
        )
    if sizes.step_images > images:
        raise UsageError(
            f"protocol.norm_batch_size={sizes.norm_batch_size}: must be at most the {images} training images"
        )
    return images // sizes.sgd_batch_size
