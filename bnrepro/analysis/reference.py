"""Published numbers to draw beside ours. A reference holds points of one setup only: others are no curve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    norm: str
    batch_size: int
    """Images whose statistics are shared, which is one worker's batch."""
    error: float
    """Top-1 error in percent."""


@dataclass(frozen=True)
class Reference:
    label: str
    """What the figure calls it."""
    source: str
    points: tuple[Point, ...]


def _curve(norm: str, errors: dict[int, float]) -> tuple[Point, ...]:
    return tuple(Point(norm, batch_size, error) for batch_size, error in errors.items())


REFERENCES = {
    "wu_he_2018": Reference(
        label="Wu & He 2018, ResNet-50, ImageNet",
        # 8 workers, learning rate 0.1 × N/32, 100 epochs, median of the last 5; brn with r_max 1.5, d_max 0.5
        source="Wu & He 2018, Group Normalization: Table 2 (bn, gn), Table 1 (ln, in), §4.1 (brn)",
        points=(
            *_curve("bn", {32: 23.6, 16: 23.7, 8: 24.8, 4: 27.3, 2: 34.7}),
            *_curve("gn", {32: 24.1, 16: 24.2, 8: 24.0, 4: 24.2, 2: 24.1}),
            *_curve("brn", {4: 26.3}),
            *_curve("ln", {32: 25.3}),
            *_curve("in", {32: 28.4}),
        ),
    ),
    "wu_he_2018_vgg16": Reference(
        label="Wu & He 2018, VGG-16, ImageNet",
        source="Wu & He 2018, Group Normalization: VGG-16, 8 workers",
        points=(*_curve("bn", {32: 28.0}), *_curve("gn", {32: 27.6}), *_curve("none", {32: 29.2})),
    ),
    "mabn_2020": Reference(
        label="Yan et al. 2020, ResNet-50, ImageNet",
        source="Yan et al. 2020, Moving-average batch normalization: SGD batch 256, 120 epochs",
        points=(
            *_curve("bn", {32: 23.41, 2: 35.22}),
            *_curve("brn", {2: 30.29}),
            *_curve("mabn", {2: 23.67}),
        ),
    ),
    "he_2016": Reference(
        label="He et al. 2016, ResNet-20, CIFAR-10",
        source="He et al. 2016, Deep residual learning: Table 6",
        points=_curve("bn", {128: 8.75}),
    ),
}
"""By the name that `--reference` and `sweep.reference` take."""
