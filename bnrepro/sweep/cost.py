"""How long cells take, relative to each other: enough to start the longest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnrepro.sweep.plan import Cell

STEP_IMAGES = 1.5
"""A step costs as much as this many images of a large batch, beside its own images. Measured: ResNet-8 on
32×32 runs 2–2.7 × faster per image at batch 128 than at 1, on CPUs of two kinds."""
GROUP_IMAGES = 0.3
"""A group of a ghost batch costs this many images more (measured at 256 groups of 1)."""


def relative_cost(cell: Cell) -> float:
    """Cost in images of a large batch of the sweep's lightest network."""
    images = cell.steps * cell.sizes.step_images
    groups = images / cell.sizes.norm_batch_size if cell.batch_statistics else 0.0
    return cell.weight * (images + STEP_IMAGES * cell.steps + GROUP_IMAGES * groups)


def longest_first(groups: Iterable[Sequence[Cell]]) -> list[Sequence[Cell]]:
    """Sorted so that the last worker to end does not end late."""
    return sorted(groups, key=lambda cells: sum(map(relative_cost, cells)), reverse=True)
