"""`bnrepro claims` would lose runs when it is stopped, or judge what it should not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_claim
from tiny_runs import call

from bnrepro.claims import CLAIMS
from bnrepro.rundir.result import write_result
from bnrepro.sweep.prepare import prepare_sweep
from bnrepro.sweep.run import has_ended
from bnrepro.training.outcome import failed_result

HERE = Path(__file__).parent
PROGRAM = """
import signal, tiny_claim
signal.signal(signal.SIGINT, signal.default_int_handler)  # not so in a shell's background
tiny_claim.add()
from bnrepro.cli import main
main()
"""


@pytest.fixture(autouse=True)
def only_here(monkeypatch):
    """The tiny claim is one of the claims in these tests alone."""
    monkeypatch.setitem(CLAIMS, "tiny", tiny_claim.CLAIM)


def start(directory: Path) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", PROGRAM, "claims", "tiny", "--out", str(directory), "--jobs", "1"]
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def results(directory: Path) -> list[Path]:
    return sorted(directory.glob("experiments/*/cells/*/result.json"))


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The claim without an interruption."""
    directory = tmp_path_factory.mktemp("whole")
    assert start(directory).wait(300) == 0
    return directory


def test_stopped_and_killed_it_comes_to_the_same_numbers(whole, tmp_path):
    stopped = start(tmp_path)
    until(lambda: len(results(tmp_path)) >= 3)
    os.killpg(stopped.pid, signal.SIGINT)
    assert stopped.wait(60) == 130
    done = {path: path.stat().st_mtime_ns for path in results(tmp_path)}
    assert 3 <= len(done) < 21
    killed = start(tmp_path)
    until(lambda: len(results(tmp_path)) >= len(done) + 3)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(60)
    assert start(tmp_path).wait(300) == 0
    assert (tmp_path / "claims.json").read_text() == (whole / "claims.json").read_text()
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_its_page_has_the_number_the_criterion_and_how_to_run_it_by_hand(whole):
    (entry,) = json.loads((whole / "claims.json").read_text())["claims"]
    assert entry["verdict"] in ("supported", "contradicted", "undecided")
    assert entry["parts"][0]["numbers"]["n"] == 3
    assert "--seeds 0,1,2,3,4,100,101" in entry["experiments"]["first"]
    assert "--seeds 100,101,102" in entry["experiments"]["second"]
    assert "long" not in entry["experiments"]
    assert "| better |" in (whole / "claims.md").read_text()
    assert (whole / "claim_tiny.png").read_bytes()[:4] == b"\x89PNG"


def test_another_claim_later_keeps_this_one(whole):
    before = json.loads((whole / "claims.json").read_text())["claims"]
    ended = call("claims", "4", "--out", str(whole))
    assert ended.code == 0, ended.err
    report = json.loads((whole / "claims.json").read_text())
    assert [entry["id"] for entry in report["claims"]] == ["4", "tiny"]
    assert report["claims"][1:] == before
    assert "## tiny" in (whole / "claims.md").read_text()


def test_what_takes_long_runs_where_it_is_asked_for(whole):
    ended = call("claims", "tiny", "--out", str(whole), "--slow", "--jobs", "1")
    assert ended.code == 0, ended.err
    entries = json.loads((whole / "claims.json").read_text())["claims"]
    assert "long" in next(entry for entry in entries if entry["id"] == "tiny")["experiments"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nine",), "claim=nine: choices: "),
        (("tiny", "optimizer.base_lr=3"), "optimizer.base_lr=3: would test something else"),
        (("tiny", "--data", "cifar10"), "--data cifar10: claim tiny is tested on digits only"),
        (("tiny", "--data", "mnist"), "--data"),
        (("tiny", "--fresh-seeds", "4"), "--fresh-seeds 4: rates are chosen on seeds up to 4"),
        (("tiny", "--launcher", "pbs"), "--launcher"),
        (("tiny", "--jobs", "0"), "--jobs"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, line):
    ended = call("claims", *arguments, "--out", str(tmp_path))
    assert ended.code == 2
    assert line in ended.err
    assert ended.err.count("\n") == 1
    assert not results(tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [('{"claims": 3}', "claims"), ('{"environment": {}, "data": "cifar10", "claims": []}', "choose another")],
)
def test_a_page_that_does_not_fit_is_refused_before_anything_runs(tmp_path, text, line):
    (tmp_path / "claims.json").write_text(text)
    ended = call("claims", "tiny", "--out", str(tmp_path))
    assert ended.code == 2
    assert line in ended.err
    assert (tmp_path / "claims.json").read_text() == text
    assert not results(tmp_path)


def test_a_cluster_is_not_asked_again_for_a_run_that_cannot_train(tmp_path):
    """Batch norm at one image failed in every job, and the claim waited for the next one for ever."""
    (experiment,) = tiny_claim.first({})
    plan, _ = prepare_sweep(experiment.all_overrides(), experiment.axes(100))
    for cell in plan.cells:
        assert not has_ended(plan, tmp_path)
        cell.directory(tmp_path).mkdir(parents=True)
        write_result(cell.directory(tmp_path), failed_result(cell.config, "one value per channel"))
    assert has_ended(plan, tmp_path)
