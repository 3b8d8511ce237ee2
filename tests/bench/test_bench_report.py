"""The arithmetic of the benchmark: a wrong ratio would be believed."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bnrepro.bench.figure import write_figure
from bnrepro.bench.processes import Speed, Together
from bnrepro.bench.report import bench_report, describe_machine, ratio, spread, write_report
from bnrepro.bench.rounds import Evaluated, Measured, Outcome, Settings, measure_rounds
from bnrepro.bench.tutorial import Way, ways
from bnrepro.config.compose import compose_config
from bnrepro.sweep.plan import Axes, plan_sweep

ENVIRONMENT = {
    "device": "a machine",
    "commit": "0123456789abcdef",
    "dirty": False,
    "bnrepro": "1.2.3",
    "versions": {"torch": "2.15.0"},
}


def together(*per_second: float, memory: int = 100) -> list[Together]:
    return [Together(value, memory) for value in per_second]


@pytest.fixture
def report() -> dict[str, Any]:
    plan = plan_sweep(["data=cifar10"], Axes(("bn", "gn"), (4, 16), (0,)), 1024)
    cells = [
        Measured(
            cell,
            ours=together(300.0, 330.0, 270.0),
            tutorial=together(100.0, 110.0, 100.0, memory=700),
            limit=together(400.0, 330.0, 300.0),
            way=Way(threads=1, loader_workers=2),
            lockstep=4,
        )
        for cell in plan.cells
    ]
    flops = {cell.id: 2e6 for cell in plan.cells}
    evaluated = Evaluated(plan.cells[0], together(90.0, 95.0, 80.0), together(100.0, 100.0, 100.0))
    outcome = Outcome(cells, [evaluated], [6e9, 5e9, 7e9])
    settings = Settings(rounds=3, seconds=1.0, jobs=2, gpus=0, lockstep=[1, 4])
    return bench_report(compose_config([]), "random images", settings, outcome, flops, ENVIRONMENT)


def test_processes_side_by_side_add_up_and_the_largest_memory_counts() -> None:
    both = Together.of([Speed(100, 2.0, 500), Speed(90, 1.0, 400)])
    assert both.per_second == pytest.approx(50 + 90)
    assert both.peak_memory_bytes == 500


def test_a_number_in_lockstep_that_does_not_train_ends_no_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    def side_by_side(measure: Any, *settings: Any, lockstep: int = 1, **others: Any) -> Together:
        if lockstep > 2:
            raise RuntimeError("the memory is full")
        return together(100.0 * lockstep)[0]

    monkeypatch.setattr("bnrepro.bench.rounds.side_by_side", side_by_side)
    (cell,) = plan_sweep(["data=cifar10"], Axes(("bn",), (4,), (0,)), 1024).cells
    told: list[str] = []
    found = measure_rounds([cell], Settings(2, 1.0, 1, 0, [1, 2, 4, 8]), told.append)
    assert [one.per_second for one in found.cells[0].ours] == [200.0, 200.0]
    assert [line for line in told if "round" not in line] == [
        "4 seeds in lockstep do not train: the memory is full"
    ]


def test_the_tutorial_loop_is_measured_at_its_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio to a loop whose threads wait for each other would be believed, and is not a result."""
    asked: list[Way | None] = []

    def side_by_side(measure: Any, *settings: Any, way: Way | None = None, **others: Any) -> Together:
        if way is not None:
            asked.append(way)
        return together(300.0 if way == Way(1, 2) else 100.0)[0]

    monkeypatch.setattr("bnrepro.bench.rounds.side_by_side", side_by_side)
    (cell,) = plan_sweep(["data=cifar10"], Axes(("bn",), (4,), (0,)), 1024).cells
    found = measure_rounds([cell], Settings(3, 1.0, 1, 0, [1]), lambda line: None).cells[0]
    assert asked == [*ways(), Way(1, 2), Way(1, 2)]
    assert {way.loader_workers for way in ways() if way.threads == 1} == {0, 2, 4}
    assert found.way == Way(1, 2)
    assert [one.per_second for one in found.tutorial] == [300.0] * 3


def test_a_ratio_is_taken_within_each_round_and_not_between_medians() -> None:
    found = ratio([10.0, 20.0, 90.0], [10.0, 10.0, 30.0])
    assert found["rounds"] == [1.0, 2.0, 3.0]
    assert (found["median"], found["low"], found["high"], found["n"]) == (2.0, 1.0, 3.0, 3)


def test_the_spread_is_the_lowest_and_the_highest_round() -> None:
    assert spread([3.0, 1.0, 2.0, 9.0]) == {
        "median": 2.5,
        "low": 1.0,
        "high": 9.0,
        "n": 4,
        "rounds": [3.0, 1.0, 2.0, 9.0],
    }


def test_a_row_has_speeds_ratios_memory_and_the_share_of_the_peak(report: dict[str, Any]) -> None:
    row = report["cells"][0]
    assert row["ours_images_per_second"]["median"] == 300.0
    assert row["ours_per_tutorial"]["median"] == pytest.approx(3.0)
    assert row["ours_milliseconds_per_model_step"] == pytest.approx(1000 * 2 * 4 / 300)
    assert row["ours_per_limit"]["rounds"] == pytest.approx([0.75, 1.0, 0.9])
    assert row["tutorial_peak_memory_bytes"] == 700
    assert row["share_of_matrix_peak"] == pytest.approx(300 * 2e6 / 6e9)


def test_an_evaluation_stands_beside_its_forward_pass(report: dict[str, Any]) -> None:
    (row,) = report["evaluation"]
    assert row["norm"] == "bn"
    assert row["evaluation_images_per_second"]["median"] == 90.0
    assert row["evaluation_per_forward"]["median"] == pytest.approx(0.9)


def test_device_versions_commit_and_n_stand_beside_the_numbers(report: dict[str, Any]) -> None:
    text = describe_machine(report)
    for part in ("a machine", "torch 2.15.0", "0123456789", "n = 3 rounds", "2 workers"):
        assert part in text


def test_json_csv_and_figure_are_written(report: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "somewhere" / "bench"
    paths = [*write_report(report, out), *write_figure(report, out)]
    assert [path.name for path in paths] == ["bench.json", "bench.csv", "bench.png", "bench.svg"]
    assert json.loads(paths[0].read_text()) == report
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert [row["norm"] for row in rows] == ["bn", "bn", "gn", "gn"]
    assert float(rows[0]["ours_per_tutorial_median"]) == pytest.approx(3.0)
    assert all(path.stat().st_size > 1000 for path in paths[2:])
