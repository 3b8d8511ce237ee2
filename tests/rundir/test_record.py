"""A user would go on with another config than the directory's, or with evaluations that are none."""

import json

import pytest
from tiny_runs import record, tiny_run

from bnrepro.config.errors import Damaged, UsageError
from bnrepro.rundir.record import METRICS, parse_metrics, read_metrics, read_progress

LINES = [{"epoch": 1, "step": 8, "error": {"running": 50.0}}, {"epoch": 3, "step": 24, "error": {}}]


def text(*lines) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_a_line_that_a_kill_cut_is_left_out(tmp_path):
    (tmp_path / METRICS).write_text(text(*LINES) + '{"epoch": 4, "st')
    assert read_metrics(tmp_path / METRICS) == LINES
    assert read_metrics(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('{"epoch": 1, "st\n' + text(LINES[1]), "line 1 is not JSON"),
        (text(LINES[1], LINES[0]), "line 2: epoch 1 does not follow"),
        (text({"epoch": 0, "error": {}}), "line 1: epoch must be a whole number from 1, not 0"),
        (text({"epoch": 1}), "line 1: error is missing"),
        (text({"epoch": 1, "error": {"running": 1000}}), "line 1: error must be"),
        ('{"epoch": 1, "error": {}, "loss": 1e400}\n', "line 1: loss must be a finite number, not inf"),
        ("[]\n", "line 1: must be an object with keys, not"),
        ("\n", "line 1 is not JSON"),
    ],
)
def test_any_other_line_that_is_none_is_named(tmp_path, lines, why):
    with pytest.raises(Damaged, match=f"metrics.jsonl: {why}"):
        parse_metrics(tmp_path / METRICS, lines)


@pytest.mark.parametrize("content", ["", "{", '{"step": -1, "epoch": 1, "images_per_second": 1}', "[]"])
def test_a_progress_that_is_none_is_not_shown(tmp_path, content):
    (tmp_path / "progress.json").write_text(content)
    assert read_progress(tmp_path) is None


def test_without_its_config_a_finished_run_is_that_of_its_hash_only(tmp_path):
    """Any other config got the old result."""
    result = tiny_run(tmp_path)
    (tmp_path / "config.yaml").unlink()
    assert tiny_run(tmp_path) == result
    with pytest.raises(UsageError, match=r"result\.json: is of another config"):
        tiny_run(tmp_path, "seed=1")


@pytest.mark.parametrize("gone", ["config.yaml", "config.yaml metrics.jsonl", "config.yaml checkpoint.pt"])
def test_without_its_config_an_unfinished_run_is_refused(tmp_path, gone):
    """Any other config continued it."""
    tiny_run(tmp_path)
    for name in ("result.json", *gone.split()):
        (tmp_path / name).unlink()
    left = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(
        UsageError, match=r"config\.yaml: is missing, but .* is there; without it nobody knows"
    ):
        tiny_run(tmp_path, "seed=1")
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_the_result_of_another_run_that_was_put_there_is_refused(tmp_path):
    tiny_run(tmp_path / "a")
    tiny_run(tmp_path / "b", "seed=1")
    before = record(tmp_path / "a")
    (tmp_path / "b" / "result.json").rename(tmp_path / "a" / "result.json")
    with pytest.raises(Damaged, match=r"a/result\.json: is of another config"):
        tiny_run(tmp_path / "a")
    assert record(tmp_path / "a")["metrics"] == before["metrics"]
