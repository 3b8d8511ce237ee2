"""A user would plot, continue or report a result that is none, or that of another run."""

import json

import pytest

from bnrepro.config.errors import Damaged
from bnrepro.rundir.result import check_result, is_over, read_result, write_result

COMPLETED = {
    "schema": 1,
    "status": "completed",
    "norm": "bn",
    "batch_size": 4,
    "seed": 0,
    "protocol": "coupled",
    "model": "resnet8",
    "data": "digits",
    "epochs": 40,
    "config_hash": "0123456789ab",
    "message": "",
    "workers": 1,
    "sgd_batch_size": 4,
    "norm_batch_size": 4,
    "train_error": 3.5,
    "skipped_files": [],
    "error": {"running": 11.0, "precise": 10.0},
    "last_errors": {"running": [10.0, 12.0], "precise": [10.0, 10.0]},
    "wall_seconds": 1.5,
    "images_per_second": 800.0,
    "peak_memory_bytes": 3_000_000,
}
DIVERGED = COMPLETED | {
    "status": "diverged",
    "error": {"running": 90.0},
    "last_errors": {},
    "train_error": None,
    "message": "loss is nan at step 3 (epoch 1)",
}
FAILED = COMPLETED | {"status": "failed", "error": {}, "last_errors": {}, "message": "ValueError: boom"}
IDENTITY = {key: COMPLETED[key] for key in ("norm", "batch_size", "seed", "config_hash")}


@pytest.mark.parametrize("result", [COMPLETED, DIVERGED, FAILED], ids=lambda result: result["status"])
def test_what_is_written_is_read(tmp_path, result):
    write_result(tmp_path, result)
    assert read_result(tmp_path, IDENTITY) == result
    assert is_over(result) == (result["status"] != "failed")


def test_a_run_that_has_not_ended_has_none(tmp_path):
    assert read_result(tmp_path, IDENTITY) is None
    assert not is_over(None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema": 99}, "schema must be one of 1, not 99"),
        ({"schema": True}, "schema must be one of 1, not True"),
        ({"status": "done"}, "status must be one of completed, diverged, failed, not 'done'"),
        ({"status": []}, "status must be one of"),
        ({"error": {"running": -5.0}}, "error must be .* from 0 to 100, not"),
        ({"error": {"running": 100.5}}, "error must be"),
        ({"error": {"running": float("inf")}}, "error must be"),
        ({"error": {"running": "11"}}, "error must be"),
        ({"error": {"median": 11.0}}, "error must be .* under running, precise, batch"),
        ({"error": {}}, "a completed run has an error"),
        ({"error": {"running": 11.0}}, "error is not the median of last_errors"),
        ({"error": {"running": 11.5, "precise": 10.0}}, "error is not the median of last_errors"),
        ({"last_errors": {"running": [11.0], "precise": [10.0]}}, "last_errors must be 2 for 40 epochs"),
        ({"last_errors": {}}, "error is not the median"),
        ({"images_per_second": None}, "images_per_second of a completed run must be a number"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1, not 0"),
        ({"seed": "0"}, "seed must be a whole number"),
        ({"train_error": float("nan")}, "train_error must be"),
        ({"message": None}, "message must be a text"),
        ({"status": "failed"}, "a failed run has no error"),
        ({"status": "diverged", "error": {}}, "a diverged run has an error"),
    ],
    ids=str,
)
def test_a_field_out_of_its_range_is_named(tmp_path, changes, why):
    with pytest.raises(Damaged, match=f"result.json: {why}"):
        check_result(tmp_path / "result.json", COMPLETED | changes)
    with pytest.raises(Damaged):
        write_result(tmp_path, COMPLETED | changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["schema", "status", "error", "last_errors", "config_hash", "message"])
def test_a_field_that_is_missing_is_named(tmp_path, key):
    without = {name: value for name, value in COMPLETED.items() if name != key}
    (tmp_path / "result.json").write_text(json.dumps(without))
    with pytest.raises(Damaged, match=f"result.json: {key} is missing; remove it to run again"):
        read_result(tmp_path, IDENTITY)


def test_results_of_older_versions_are_read(tmp_path):
    """They lack what came later, and failed ones their sizes."""
    later = ("train_seconds", "evaluation_seconds", "skipped_files", "workers", "sgd_batch_size", "data")
    old = {name: value for name, value in FAILED.items() if name not in later}
    (tmp_path / "result.json").write_text(json.dumps(old))
    assert read_result(tmp_path, IDENTITY) == old


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("config_hash", "ba9876543210", "is of another config .config_hash 0123456789ab, not ba9876543210"),
        ("batch_size", 8, "is of another run .batch_size 4, not 8"),
        ("norm", "gn", "is of another run .norm bn, not gn"),
    ],
)
def test_the_result_of_another_run_is_refused(tmp_path, key, value, why):
    write_result(tmp_path, COMPLETED)
    with pytest.raises(Damaged, match=why):
        read_result(tmp_path, IDENTITY | {key: value})
