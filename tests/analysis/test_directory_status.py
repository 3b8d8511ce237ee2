"""`bnrepro status` of what is not a sweep directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from bnrepro.analysis.plot import write_plots
from bnrepro.analysis.status import directory_status
from bnrepro.cli.status import status

SMALL = {"norms": ("bn",), "batch_sizes": (2, 4)}
CONFIG = {
    "experiment": "default",
    "epochs": 6,
    "batch_size": 4,
    "seed": 0,
    "model": {"name": "resnet8"},
    "norm": {"name": "bn"},
    "protocol": {"name": "coupled", "workers": 1, "sgd_batch_size": None},
}


def test_a_committed_folder_says_what_its_table_says(sweep, tmp_path: Path) -> None:
    source = sweep(**SMALL, states={"bn-b2-s0": "diverged", "bn-b4-s0": "missing"})
    write_plots([source], out=tmp_path / "kept", formats=["md"])
    shutil.rmtree(source)
    cells, remark = directory_status(tmp_path / "kept")
    assert [(cell.id, cell.state) for cell in cells] == [("bn-b2-s0", "diverged"), ("bn-b4-s0", "pending")]
    assert cells[0].error["running"] == 90
    assert remark.endswith("table.csv alone")


def test_an_interrupted_run_says_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    (tmp_path / "metrics.jsonl").write_text(
        json.dumps({"epoch": 2, "step": 20, "error": {"running": 40.0}}) + "\n"
    )
    progress = {"step": 25, "epoch": 3, "images_per_second": 100.0}
    (tmp_path / "progress.json").write_text(json.dumps(progress))
    ((cell,), _) = directory_status(tmp_path)
    assert (cell.id, cell.state, cell.step, cell.total_steps) == ("bn-b4-s0", "interrupted", 25, 60)


def test_a_run_before_its_first_evaluation_does_not_know_its_steps(tmp_path: Path, capsys) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    status([tmp_path])
    assert "0/?" in capsys.readouterr().out


def test_several_directories_are_told_apart(sweep, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [sweep("a", **SMALL), sweep("b", **SMALL)]
    status(paths)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in map(str, paths)] == [str(path) for path in paths]
    assert lines.count("2 completed") == 2
