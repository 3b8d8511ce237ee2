"""A user's sweep over a key would not run, resume or be followed as one over batch sizes."""

import json

from tiny_runs import TINY, call, record, tiny_run

ASKED = (*TINY, "--norms", "bn", "--jobs", "1")


def test_a_sweep_over_a_key_trains_resumes_and_has_a_status(tmp_path):
    out = ("--out", str(tmp_path / "sweep"))
    first = call("sweep", "over", "optimizer.base_lr", "--values", "0.1,1", *ASKED, *out)
    assert first.code == 0, first.err
    assert "2 cells: bn × optimizer.base_lr 0.1, 1 × seeds 0;" in first.out
    assert "bn, optimizer.base_lr 0.1, seed 0: error " in first.err
    alone = tiny_run(tmp_path / "alone", "optimizer.base_lr=0.1")
    cell = tmp_path / "sweep" / "cells" / "bn-base_lr0.1-s0"
    assert record(cell) == record(tmp_path / "alone")
    assert json.loads((cell / "result.json").read_text())["config_hash"] == alone["config_hash"]
    again = call("sweep", "over", "optimizer.base_lr", "--values", "1,2", *ASKED, *out, "--lockstep", "off")
    assert again.code == 0, again.err
    assert " 2/2 bn, optimizer.base_lr 2, seed 0" in again.err
    states = call("status", str(tmp_path / "sweep")).out
    assert "bn-base_lr2-s0" in states
    assert "3 completed" in states


def test_dry_run_shows_what_every_value_costs(tmp_path):
    shown = call(
        *(
            "sweep",
            "over",
            "data.train_subset",
            "--values",
            "32,64",
            *ASKED[1:],
            "batch_size=16",
            "--dry-run",
        ),
        *("--out", str(tmp_path / "sweep")),
    )
    assert shown.code == 0, shown.err
    assert "digits (32–64 images)" in shown.out
    rows = {line.split()[0]: line.split() for line in shown.out.splitlines() if line.startswith("bn-")}
    assert [rows[f"bn-train_subset{images}-s0"][3] for images in (32, 64)] == ["2", "4"]
    assert "probes" not in shown.out
    assert not (tmp_path / "sweep").exists()


def test_a_dry_run_says_that_probes_are_not_in_its_estimate(tmp_path):
    """A night is planned by it, and a probe may take longer than the run."""
    axes = ("--values", "0.1", *ASKED[1:], "--seeds", "0", "--dry-run", "--out", str(tmp_path / "sweep"))
    shown = call("sweep", "over", "optimizer.base_lr", *axes, "probes=[errors]")
    assert shown.code == 0, shown.err
    assert "from timing each shape alone, without what the probes take" in shown.out


def test_over_the_batch_size_it_is_the_sweep_of_batch_sizes(tmp_path):
    asked = (*(o for o in ASKED if not o.startswith("batch_size=")), "--seeds", "0")
    for out, words in (("a", ("batch-size", "--batch-sizes")), ("b", ("over", "batch_size", "--values"))):
        ended = call("sweep", *words, "16,32", *asked, "--out", str(tmp_path / out))
        assert ended.code == 0, ended.err
    assert (tmp_path / "a" / "sweep.json").read_bytes() == (tmp_path / "b" / "sweep.json").read_bytes()


def test_bad_values_are_refused_in_a_line():
    for values, says in (
        ("0.1,x", "--values 0.1,x: must be numbers with commas between"),
        ("nan", "--values nan: must be numbers"),
        ("-1", "optimizer.base_lr=-1: must be above 0"),
    ):
        refused = call("sweep", "over", "optimizer.base_lr", "--values", values, *ASKED)
        assert refused.code == 2
        assert says in refused.err
        assert len(refused.err.strip().splitlines()) == 1


def test_seeds_of_a_value_train_in_lockstep(tmp_path):
    asked = ("--norms", "gn", "--seeds", "0,1", "--jobs", "1", "--lockstep", "2", "--out", str(tmp_path))
    ended = call("sweep", "over", "optimizer.momentum", "--values", "0.5,0.9", *TINY, *asked)
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "sweep.json").read_text())["lockstep"] == {
        "gn-momentum0.5": 2,
        "gn-momentum0.9": 2,
    }
    cells = {path.name: json.loads((path / "env.json").read_text()) for path in tmp_path.glob("cells/*")}
    assert {name: env["lockstep"] for name, env in cells.items()} == {
        f"gn-momentum{value}-s{seed}": 2 for value in (0.5, 0.9) for seed in (0, 1)
    }
