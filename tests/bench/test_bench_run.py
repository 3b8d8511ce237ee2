"""The benchmark from end to end, on one small cell."""

from pathlib import Path

import pytest

from bnrepro.bench.flops import flop_per_image
from bnrepro.bench.processes import side_by_side
from bnrepro.bench.run import run_bench
from bnrepro.config.compose import compose_config
from bnrepro.sweep.plan import Axes

OVERRIDES = ["data=cifar10", "data.image_size=8", "device=cpu"]


def measure_nothing(*_: object) -> None:
    raise ValueError("a cause")


def test_a_measurement_that_fails_says_which_and_why() -> None:
    with pytest.raises(RuntimeError, match="bn, batch size 4: ValueError: a cause"):
        side_by_side(measure_nothing, compose_config(["batch_size=4"]), 0.1, jobs=2, gpus=0)


def test_the_operations_of_a_resnet_are_counted_forward_and_backward() -> None:
    flop = flop_per_image(compose_config([*OVERRIDES, "data.image_size=32", "batch_size=4"]))
    # multiply-adds by hand: the first layer, 2 + 2 + 2 convolutions, the classifier
    macs = 9 * (3 * 16 + 2 * 16 * 16) * 32**2 + 9 * (16 * 32 + 32 * 32) * 16**2
    macs += 9 * (32 * 64 + 64 * 64) * 8**2 + 64 * 10
    first_layer = 9 * 3 * 16 * 32**2  # no gradient for the images
    assert flop == pytest.approx(2 * (3 * macs - first_layer), rel=1e-6)


def test_sizes_that_cannot_be_are_refused_as_a_sweep_refuses_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="these cells cannot be: bn-b20000"):
        run_bench(OVERRIDES, Axes(("bn",), (20_000,), (0,)), None, 1, 0.01, print)
    assert not list(tmp_path.iterdir())
