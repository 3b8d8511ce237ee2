"""A user would compare batch sizes at learning rates that do not scale as said."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnrepro.config.compose import compose_config
from bnrepro.training.optimizer import lr_schedule, scaled_lr

OPTIMIZER = compose_config(["optimizer.base_lr=0.2"]).optimizer
COSINE = compose_config([]).schedule
STEP = compose_config(["schedule=step"]).schedule


@pytest.mark.parametrize(
    ("scaling", "at_4", "at_1024"), [("linear", 1 / 64, 4.0), ("sqrt", 1 / 8, 2.0), ("none", 1.0, 1.0)]
)
def test_rate_scales_from_256_images_to_the_sgd_batch(scaling, at_4, at_1024):
    optimizer = replace(OPTIMIZER, scaling=scaling)
    assert scaled_lr(optimizer, 256) == pytest.approx(0.2)
    assert scaled_lr(optimizer, 4) == pytest.approx(0.2 * at_4)
    assert scaled_lr(optimizer, 1024) == pytest.approx(0.2 * at_1024)


def test_step_schedule_divides_by_ten_exactly_at_the_milestones():
    rate = lr_schedule(STEP, 1.0, 1.0, epochs=100, steps_per_epoch=7)
    for milestone, before, after in ((30, 1.0, 0.1), (60, 0.1, 0.01), (90, 0.01, 0.001)):
        assert rate(milestone * 7 - 1) == pytest.approx(before)
        assert rate(milestone * 7) == pytest.approx(after)
    assert rate(0) == 1.0


def test_cosine_starts_at_the_peak_is_half_in_the_middle_and_ends_at_zero():
    rate = lr_schedule(COSINE, 0.5, 0.5, epochs=10, steps_per_epoch=20)
    assert rate(0) == 0.5
    assert rate(100) == pytest.approx(0.25)
    assert 0 < rate(199) < 1e-4
    assert rate(200) == pytest.approx(0.0, abs=1e-12)


def test_warm_up_rises_in_equal_steps_from_the_unscaled_rate_to_the_peak():
    """Goyal et al. 2017, §2.2: from η to kη."""
    rate = lr_schedule(replace(COSINE, warmup_epochs=2.0), 0.1, 0.4, epochs=10, steps_per_epoch=5)
    assert [rate(step) for step in range(10)] == pytest.approx([0.1 + 0.03 * step for step in range(10)])
    assert rate(10) == 0.4


@pytest.mark.parametrize("peak", [0.1, 0.05])
def test_a_rate_that_is_not_scaled_up_needs_no_warm_up(peak):
    schedule = replace(STEP, warmup_epochs=2.0)
    assert lr_schedule(schedule, 0.1, peak, epochs=10, steps_per_epoch=5)(0) == peak


def test_warm_up_only_above_a_rate():
    schedule = replace(COSINE, warmup_epochs=2.0, warmup_above_lr=0.3)
    assert lr_schedule(schedule, 0.1, 0.3, epochs=10, steps_per_epoch=5)(0) == 0.3
    assert lr_schedule(schedule, 0.1, 0.4, epochs=10, steps_per_epoch=5)(0) == 0.1


@given(
    epochs=st.integers(1, 200),
    steps=st.integers(1, 50),
    warmup=st.floats(0, 5),
    base=st.floats(1e-3, 2),
    name=st.sampled_from(["cosine", "step"]),
)
def test_rate_is_never_negative_nor_above_the_peak(epochs, steps, warmup, base, name):
    schedule = replace(STEP, name=name, warmup_epochs=min(warmup, epochs / 2))
    rate = lr_schedule(schedule, base, 0.7, epochs, steps)
    assert all(0 <= rate(step) <= 0.7 + 1e-12 for step in range(epochs * steps))
