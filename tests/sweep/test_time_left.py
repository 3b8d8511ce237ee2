"""A user would plan their evening by a number that is wrong by hours."""

import csv
from pathlib import Path

import pytest

from bnrepro.sweep.cost import longest_first
from bnrepro.sweep.plan import Axes, Cell, plan_sweep
from bnrepro.sweep.time_left import TimeLeft

MEASURED = Path(__file__).parent / "data" / "measured_seconds.csv"
"""Of `experiment=cifar10_quick`, seed 0, on 2 cores of an Intel Xeon that did other work (commit ed67d80)."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def cells_of(norms: tuple[str, ...], sizes: tuple[int, ...], seeds: int = 1) -> tuple[Cell, ...]:
    axes = Axes(norms, sizes, tuple(range(seeds)))
    return plan_sweep(["experiment=cifar10_quick"], axes, 10_240).cells


def replay(seconds: dict[str, float], cells: tuple[Cell, ...], jobs: int) -> list[tuple[float, float]]:
    """A sweep whose cells take so long: at every look, the time that passed and the time left as it was told.

    Steps are reported every second; a worker starts within 5 s, and takes 2 s before a cell's first step.
    """
    queue = [group[0] for group in longest_first([[cell] for cell in cells])]
    told = TimeLeft([[cell] for cell in cells], jobs)
    at_work: dict[str, tuple[Cell, float]] = {}
    looks, now = [], 0.0
    while queue or at_work:
        for cell, start in list(at_work.values()):
            part = (now - start - 2.0) / seconds[cell.id]
            if part >= 1:
                told.finished(cell, now)
                del at_work[cell.id]
            elif part > 0:
                told.progress(cell, part, now)
        while now >= 5 and queue and len(at_work) < jobs:
            cell = queue.pop(0)
            at_work[cell.id] = (cell, now)
            told.started(cell, now)
        looks.append((now, told.seconds(now)))
        now += 1.0
    end = looks[-1][0]
    return [
        (passed, left / (end - passed)) for passed, left in looks if left is not None and end > passed + 30
    ]


def test_within_a_factor_of_1_5_from_the_first_minute_on_for_the_measured_sweep() -> None:
    """The committed times of 27 cells on 2 cores, longest first, but the last tenth: that cell ran alone."""
    with MEASURED.open(encoding="utf-8") as file:
        seconds = {row["id"]: float(row["wall_seconds"]) for row in csv.DictReader(file)}
    looks = replay(seconds, cells_of(("bn", "gn", "none"), SIZES), 2)
    whole = looks[-1][0]
    ratios = [ratio for passed, ratio in looks if 60 <= passed <= 0.9 * whole]
    assert max(ratios) < 1.5
    assert min(ratios) > 1 / 1.5


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_where_small_batches_cost_more_than_is_thought_it_is_learned(jobs: int) -> None:
    """As on a GPU, where a step of one image takes as long as one of a hundred."""
    cells = cells_of(("gn",), SIZES, seeds=4)
    seconds = {cell.id: 30.0 + 4000.0 / cell.config.batch_size for cell in cells}
    looks = replay(seconds, cells, jobs)
    whole = looks[-1][0]
    assert all(1 / 1.5 < ratio < 1.5 for passed, ratio in looks if passed > 0.9 * whole)
    assert all(ratio < 4 for _, ratio in looks)


def test_nothing_is_told_before_anything_was_measured() -> None:
    cells = cells_of(("gn",), (16,), seeds=2)
    told = TimeLeft([[cell] for cell in cells], 1)
    assert told.seconds(0.0) is None
    told.started(cells[0], 0.0)
    told.progress(cells[0], 0.1, 10.0)
    assert told.seconds(10.0) is None
    told.progress(cells[0], 0.2, 20.0)  # 10 s for a tenth, whatever came before
    assert told.seconds(20.0) == pytest.approx(80.0 + 100.0)
    assert told.seconds(25.0) == pytest.approx(75.0 + 100.0)


def test_what_an_earlier_call_did_is_not_counted_as_fast() -> None:
    (cell,) = cells_of(("gn",), (16,))
    told = TimeLeft([[cell]], 1)
    told.started(cell, 0.0)
    told.progress(cell, 0.9, 1.0)
    told.progress(cell, 0.95, 11.0)
    assert told.seconds(11.0) == pytest.approx(10.0)


def test_cells_in_lockstep_share_their_time() -> None:
    cells = cells_of(("gn",), (16,), seeds=4)
    told = TimeLeft([cells[:2], cells[2:]], 1)
    for part, now in ((0.1, 10.0), (0.2, 20.0)):
        for cell in cells[:2]:
            told.started(cell, 0.0)
            told.progress(cell, part, now)
    assert told.seconds(20.0) == pytest.approx(80.0 + 100.0)
    for cell in cells[:2]:
        told.finished(cell, 100.0)
    assert told.seconds(100.0) == pytest.approx(100.0)


def test_a_cell_that_another_process_trains_is_not_waited_for() -> None:
    cells = cells_of(("gn",), (16,), seeds=2)
    told = TimeLeft([[cell] for cell in cells], 1)
    told.started(cells[0], 0.0)
    told.progress(cells[0], 0.5, 10.0)
    told.left_out(cells[1])
    told.finished(cells[0], 20.0)
    assert told.seconds(20.0) == 0.0
