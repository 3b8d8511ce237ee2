"""A user would see a cell as lost that was over, or not see at all why one ended."""

import json

from tiny_runs import tiny_config

from bnrepro.rundir.result import write_result
from bnrepro.training.outcome import failed_result, record_lost

CONFIG = tiny_config()


def test_a_process_that_died_leaves_a_failed_result(tmp_path):
    found = record_lost(CONFIG, tmp_path / "run", "the worker process died (SIGKILL)")
    assert found["status"] == "failed"
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == found


def test_a_run_that_was_over_before_its_process_died_keeps_its_result(tmp_path):
    over = {**failed_result(CONFIG, "loss is nan"), "status": "diverged", "error": {"running": 90.0}}
    write_result(tmp_path, over)
    assert record_lost(CONFIG, tmp_path, "the worker process died (SIGKILL)") == over


def test_why_nothing_could_be_written_is_in_the_message(tmp_path):
    (tmp_path / "run").write_text("a file where the directory should be")
    found = record_lost(CONFIG, tmp_path / "run", "it died")
    assert found["message"].startswith("it died; ")
    assert "Not a directory" in found["message"]
