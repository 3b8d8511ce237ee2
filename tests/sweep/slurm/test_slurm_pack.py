"""Which cells share a task: none is lost, none runs twice, no task is asked for more than it may take."""

from hypothesis import given
from hypothesis import strategies as st

from bnrepro.sweep.slurm.pack import fill, share

COSTS = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=80).map(
    lambda costs: {f"cell{i}": cost for i, cost in enumerate(costs)}
)
CAPACITY = st.floats(0.01, 1e6)
ALONE = st.sets(st.integers(0, 100).map("cell{}".format))


@given(COSTS, CAPACITY, ALONE)
def test_no_task_exceeds_the_time_that_it_may_fill(
    costs: dict[str, float], capacity: float, alone: set[str]
) -> None:
    tasks = fill(costs, capacity, alone)
    assert sorted(cell for task in tasks for cell in task) == sorted(costs)
    for task in tasks:
        assert len(task) == 1 or sum(costs[cell] for cell in task) <= capacity * (1 + 1e-9)
        assert len(task) == 1 or not alone & set(task)


@given(COSTS, CAPACITY)
def test_two_tasks_are_never_half_empty(costs: dict[str, float], capacity: float) -> None:
    """Else short cells would each wait in the queue on their own."""
    loads = sorted(sum(costs[cell] for cell in task) for task in fill(costs, capacity))
    assert len(loads) < 2 or loads[0] + loads[1] > capacity * (1 - 1e-9)


@given(COSTS, st.integers(1, 90), ALONE)
def test_cells_per_task_decides_the_number_of_tasks(
    costs: dict[str, float], cells_per_task: int, alone: set[str]
) -> None:
    tasks = share(costs, cells_per_task, alone)
    assert sorted(cell for task in tasks for cell in task) == sorted(costs)
    own = len(alone & set(costs))
    assert len(tasks) == own + -(-(len(costs) - own) // cells_per_task)
    assert all(len(task) == 1 for task in tasks if alone & set(task))


def test_tasks_take_about_equally_long_rather_than_having_as_many_cells() -> None:
    costs = {"long": 9.0, "a": 3.0, "b": 3.0, "c": 3.0}
    assert share(costs, 2) == [["long"], ["a", "b", "c"]]


def test_a_task_starts_with_its_longest_cell() -> None:
    assert fill({"short": 1.0, "long": 5.0, "middle": 2.0}, 100.0) == [["long", "middle", "short"]]
