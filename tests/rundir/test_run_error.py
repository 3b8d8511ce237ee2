"""A user would report a number that is not the paper's: the median of epochs 96–100 of 100."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnrepro.rundir.run_error import evaluation_due, is_final, last_errors, run_error


def final_epochs(epochs: int) -> list[int]:
    return [epoch for epoch in range(1, epochs + 1) if is_final(epoch, epochs)]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, [1]),
        (10, [10]),
        (20, [20]),
        (39, [39]),
        (40, [39, 40]),
        (60, [58, 59, 60]),
        (100, [96, 97, 98, 99, 100]),
        (200, [196, 197, 198, 199, 200]),
    ],
)
def test_the_last_five_percent_at_least_one_at_most_five(epochs, expected):
    assert final_epochs(epochs) == expected


@given(epochs=st.integers(1, 1000), every=st.integers(0, 50))
def test_every_final_epoch_is_evaluated_whatever_the_interval(epochs, every):
    due = [epoch for epoch in range(1, epochs + 1) if evaluation_due(epoch, epochs, every)]
    assert due[-len(final_epochs(epochs)) :] == final_epochs(epochs)
    if every == 0:
        assert due == final_epochs(epochs)
    else:
        assert set(range(every, epochs + 1, every)) <= set(due)


def test_the_median_not_the_best_not_the_mean():
    metrics = [{"epoch": e, "error": {"running": r}} for e, r in enumerate([1, 50, 60, 51, 52, 53], start=95)]
    last = last_errors(metrics, 100)
    assert last == {"running": [50, 60, 51, 52, 53]}
    assert run_error(last) == {"running": 52}


def test_each_of_the_statistics_has_its_own_median():
    metrics = [
        {"epoch": 39, "error": {"running": 10.0, "precise": 8.0}},
        {"epoch": 40, "error": {"running": 12.0, "precise": 7.0}},
    ]
    assert run_error(last_errors(metrics, 40)) == {"running": 11.0, "precise": 7.5}


def test_intermediate_evaluations_do_not_count():
    metrics = [{"epoch": e, "error": {"running": float(e)}} for e in range(1, 11)]
    assert last_errors(metrics, 10) == {"running": [10.0]}
