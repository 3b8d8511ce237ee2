"""Labels and axes: names would cover each other, or stand at another line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bnrepro.analysis.placing import fraction, set_x_axis, spread
from bnrepro.analysis.x_axis import XAxis


@given(st.lists(st.floats(0, 100), min_size=1, max_size=18))
def test_labels_keep_their_distance_their_order_and_the_frame(wanted: list[float]) -> None:
    placed = spread(wanted, 5.0, 0.0, 100.0)
    ordered = placed[np.argsort(wanted, kind="stable")]
    assert (np.diff(ordered) >= 5.0 - 1e-9).all()
    assert placed.min() >= 0
    assert placed.max() <= 100 + 1e-9


def test_labels_with_room_stay_where_they_are_and_a_crowd_keeps_its_middle() -> None:
    assert spread([90.0, 10.0, 50.0], 5.0, 0.0, 100.0).tolist() == [90.0, 10.0, 50.0]
    assert spread([50.0, 50.0, 50.0], 10.0, 0.0, 100.0).tolist() == [40.0, 50.0, 60.0]


@pytest.mark.parametrize(
    ("scale", "values", "ticks"),
    [
        ("log10", [0.05, 0.1, 0.2, 0.8], ["0.05", "0.1", "0.2", "0.8"]),
        ("linear", [0.0, 0.5, 0.9], ["0", "0.5", "0.9"]),
        ("log2", [2.0], ["2"]),
        ("linear", [3.0], ["3"]),
    ],
)
def test_any_axis_has_its_values_as_ticks_inside_the_frame(scale: str, values, ticks: list[str]) -> None:
    axes = Figure().subplots()
    set_x_axis(axes, XAxis("optimizer.base_lr", "x", "optimizer.base_lr", scale), values, "small-to-large")
    assert [text.get_text() for text in axes.get_xticklabels()] == ticks
    assert all(0 < fraction(axes, value) < 1 for value in values)
    assert axes.get_xlabel() == "optimizer.base_lr"
