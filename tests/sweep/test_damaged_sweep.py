"""One bad file of one cell would cost a user the view of all of them, or give numbers of another config."""

import csv
import json
import shutil

import pytest
from damage import damage
from tiny_runs import call

from bnrepro.rundir.record import CONFIG, METRICS
from bnrepro.rundir.result import result_head, write_result
from bnrepro.sweep.directory import write_sweep
from bnrepro.sweep.plan import Axes, plan_sweep, sweep_json

OVERRIDES = ("epochs=1", "device=cpu")
SWEEP = ("sweep", "batch-size", *OVERRIDES, "--norms", "bn", "--batch-sizes", "4", "--seeds", "0,1,2")
BAD = "bn-b4-s1"
GOOD = ("bn-b4-s0", "bn-b4-s2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep that is over, without the training."""
    plan = plan_sweep(OVERRIDES, Axes(("bn",), (4,), (0, 1, 2)), 1437)
    directory = tmp_path_factory.mktemp("finished") / "sweep"
    write_sweep(directory.parent, sweep_json(plan))
    directory.mkdir()
    (directory.parent / "sweep.json").rename(directory / "sweep.json")
    for cell in plan.cells:
        error = {"running": 10.0 + cell.config.seed}
        folder = cell.directory(directory)
        folder.mkdir(parents=True)
        (folder / METRICS).write_text(json.dumps({"epoch": 1, "step": 359, "error": error}) + "\n")
        (folder / CONFIG).write_text("norm: {name: bn, factory: null, options: {}}\n")
        result = result_head(cell.config) | {
            "status": "completed",
            "message": "",
            "data": "digits",
            "train_error": 5.0,
            "wall_seconds": 1.0,
            "images_per_second": 800.0,
            "norm_batch_size": 4,
            "error": error,
            "last_errors": {name: [value] for name, value in error.items()},
        }
        write_result(folder, result)
    return directory


@pytest.fixture
def sweep(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "sweep")


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if str(BAD) in line]


FEW = (
    *("empty", "bit flipped", "byte not of UTF-8", "terminal escape", "deep", "negative", "1e400", "twice"),
    *("a pipe", "endless"),
)
"""The campaign has all of them, and all files."""


@pytest.mark.parametrize("way", FEW)
def test_a_damaged_result_is_named_and_the_other_cells_go_on(sweep, way):
    damage(sweep / "cells" / BAD / "result.json", way, seed=7)
    shown = call("status", str(sweep))
    drawn = call("plot", str(sweep), "--format", "svg", "--out", str(sweep.parent / "drawn"))
    swept = call(*SWEEP, "--out", str(sweep))
    said = [shown, drawn, swept]
    assert all("Traceback" not in ended.err and "\x1b]0;" not in ended.out + ended.err for ended in said)
    if shown.code == 0:  # where nothing that means anything was hit
        assert [ended.code for ended in said] == [0, 0, 0]
        return
    assert [ended.code for ended in said] == [1, 1, 1]
    assert f"{BAD}  damaged " in shown.out
    assert "2 completed, 1 damaged" in shown.out
    assert "2 completed, 1 failed" in swept.out
    for ended in said:
        named = [line for line in (ended.out + ended.err).splitlines() if f"{BAD}/result.json: " in line]
        assert len(named) == 1
    with (sweep.parent / "drawn" / "table.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == list(GOOD)


@pytest.mark.parametrize("way", ["byte not of UTF-8", "a pipe", "twice"])
@pytest.mark.parametrize("file", ["metrics.jsonl", "config.yaml"])
def test_damage_beside_the_results_costs_at_most_a_curve(sweep, file, way):
    damage(sweep / "cells" / BAD / file, way, seed=7)
    assert call("status", str(sweep)).code == 0
    drawn = call("plot", str(sweep), "--format", "svg", "--out", str(sweep.parent / "drawn"))
    assert (drawn.code, drawn.err) == (0, "")
    with (sweep.parent / "drawn" / "table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3


@pytest.mark.parametrize("way", ["first half", "byte not of UTF-8", "a list", "a pipe", "endless"])
def test_a_damaged_plan_is_one_line(sweep, way):
    damage(sweep / "sweep.json", way, seed=3)
    for arguments in (("status", str(sweep)), ("plot", str(sweep)), (*SWEEP, "--out", str(sweep))):
        ended = call(*arguments)
        assert "Traceback" not in ended.err
        if ended.code:
            assert ended.code == 2
            assert ended.err.startswith(f"bnrepro: {sweep}")
            assert ended.err.count("\n") == 1


def test_without_its_plan_a_sweep_goes_on_only_with_its_own_config(sweep):
    """Any other config got the old results: 3 completed, nothing trained."""
    (sweep / "sweep.json").unlink()
    other = call(*SWEEP, "optimizer.momentum=0.5", "--out", str(sweep))
    assert (other.code, "3 failed" in other.out) == (1, True)
    assert other.err.count("is of another config") == 3
    (sweep / "sweep.json").unlink()
    own = call(*SWEEP, "--out", str(sweep))
    assert (own.code, "3 completed" in own.out) == (0, True)


def test_the_result_of_another_cell_is_refused(sweep):
    shutil.copy(sweep / "cells" / GOOD[0] / "result.json", sweep / "cells" / BAD / "result.json")
    assert f"{BAD}  damaged " in call("status", str(sweep)).out
    assert call(*SWEEP, "--out", str(sweep)).code == 1


@pytest.mark.parametrize("name", ["../../elsewhere", "", ".", "a/b"])
def test_a_plan_does_not_lead_out_of_its_directory(sweep, name):
    plan = json.loads((sweep / "sweep.json").read_text())
    plan["cells"][0]["id"] = name
    (sweep / "sweep.json").write_text(json.dumps(plan))
    ended = call("status", str(sweep))
    assert (ended.code, "cells[0].id must be a name without a slash" in ended.err) == (2, True)


def test_drawing_into_the_sweep_follows_no_link(sweep):
    """`plot` of somebody else's directory would write into a file of one's own."""
    mine = sweep.parent / "mine"
    mine.write_text("mine")
    for name in ("table.csv", "summary.csv", "figure.svg"):
        (sweep / name).symlink_to(mine)
    assert call("plot", str(sweep), "--format", "svg").code == 0
    assert mine.read_text() == "mine"
    assert not (sweep / "table.csv").is_symlink()
