"""A cell must be the same run on any machine, from any step on, in any number of processes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnrepro.data.draws import epoch_table
from bnrepro.data.streaming.draws import TRIES, WINDOW, crop_window, stream_draws


def test_what_a_position_draws_does_not_depend_on_who_asks():
    draws = stream_draws(3, 5, 1000, "train")
    every = draws.uniform(np.arange(1000))
    positions = np.array([7, 8, 9, 500, 501, 3, 999])
    assert np.array_equal(draws.uniform(positions), every[positions])
    assert draws.uniform(np.array([], dtype=np.int64)).shape == (0, every.shape[1])


def test_seeds_epochs_and_purposes_draw_differently():
    tables = [
        stream_draws(seed, epoch, 100, stream)
        for seed in (0, 1)
        for epoch in (0, 1)
        for stream in ("train", "precise")
    ]
    assert len({table.uniform(np.arange(4)).tobytes() for table in tables}) == 8
    assert len({table.order.numpy().tobytes() for table in tables}) == 8


def test_the_order_is_that_of_a_resident_set():
    assert torch.equal(stream_draws(1, 2, 50, "train").order, epoch_table(1, 2, 50, 4, "crop").order)


def test_the_draws_are_uniform():
    every = stream_draws(0, 0, 20_000, "train").uniform(np.arange(20_000))
    assert every.min() >= 0
    assert every.max() < 1
    assert np.abs(every.mean(0) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(every.T) - np.eye(every.shape[1])).max() < 0.04


def test_the_draws_are_these():
    """Changed draws would change every published number."""
    row = stream_draws(0, 0, 10, "train").uniform(np.array([3]))[0]
    assert row[:3].tolist() == pytest.approx([0.33746979389503806, 0.33406065078035985, 0.9051899409433475])


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 10_000))
def test_windows_lie_within_the_image(height, width, seed):
    uniform = np.random.default_rng(seed).random(WINDOW.stop)
    top, left, h, w = crop_window(uniform, height, width, 0.08)
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    assert h > 0
    assert w > 0


def test_windows_have_areas_and_shapes_of_the_paper():
    rows = np.random.default_rng(0).random((4000, WINDOW.stop))
    windows = np.array([crop_window(row, 3000, 3000, 0.08) for row in rows])
    h, w = windows[:, 2], windows[:, 3]
    area = h * w / 3000**2
    assert 0.079 < area.min() < 0.09
    assert area.max() <= 1
    assert 0.745 < (w / h).min() < 0.76
    assert 1.32 < (w / h).max() < 1.34


def test_an_image_that_no_window_fits_gives_its_centre():
    uniform = np.ones(WINDOW.stop) * 0.999
    uniform[1 : 2 * TRIES : 2] = 0.0  # narrow windows of the whole area, out of a wide image
    assert crop_window(uniform, 10, 1000, 0.08) == (0, 495, 10, 10)
