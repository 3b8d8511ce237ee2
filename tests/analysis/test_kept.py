"""Other places that `plot` draws from: a committed folder, a single run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from bnrepro.analysis import load_table
from bnrepro.analysis.plot import write_plots
from bnrepro.analysis.results import load_results
from bnrepro.config.errors import UsageError
from bnrepro.rundir.record import CONFIG

SMALL = {"norms": ("bn", "gn"), "batch_sizes": (2, 4), "seeds": (0, 1, 2)}
STATES = {"bn-b2-s0": "diverged", "bn-b2-s1": "failed", "gn-b4-s2": "missing"}


@pytest.fixture
def kept(sweep, tmp_path: Path) -> Path:
    """A folder of results/, and no sweep any more."""
    source = sweep(**SMALL, states=STATES)
    write_plots([source], out=tmp_path / "kept", formats=["svg"])
    shutil.rmtree(source)
    return tmp_path / "kept"


def test_a_committed_folder_is_drawn_again_to_the_byte(kept: Path, tmp_path: Path) -> None:
    write_plots([kept], out=tmp_path / "again", formats=["svg"])
    files = sorted(file.name for file in kept.iterdir())
    assert files == sorted(file.name for file in (tmp_path / "again").iterdir())
    assert [
        name for name in files if (kept / name).read_bytes() != (tmp_path / "again" / name).read_bytes()
    ] == []


def test_its_table_is_the_sweeps(sweep, kept: Path) -> None:
    pd.testing.assert_frame_equal(load_table(kept), load_table(sweep(**SMALL, states=STATES)))


def test_it_does_not_say_where_the_images_lay(sweep, tmp_path: Path) -> None:
    base = {"data": {"name": "image_folder", "root": "/home/me/birds", "cache_dir": "/home/me/cache"}}
    source = sweep(**SMALL, base=base, overrides=("data.root=/home/me/birds", "epochs=3"))
    write_plots([source], out=tmp_path / "kept", formats=["md"])
    text = (tmp_path / "kept" / "sweep.json").read_text()
    assert "/home/me" not in text
    assert json.loads(text)["base"]["data"]["root"] == "birds"
    assert len(load_table(tmp_path / "kept")) == 12


def test_sweeps_of_one_config_are_kept_as_one(sweep, tmp_path: Path) -> None:
    paths = [
        sweep("a", norms=("bn",), batch_sizes=(2,)),
        sweep("b", norms=("gn",), batch_sizes=(4,), seeds=(1,)),
    ]
    write_plots(paths, out=tmp_path / "kept", formats=["md"])
    assert sorted(load_table(tmp_path / "kept")["id"]) == ["bn-b2-s0", "gn-b4-s1"]


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("table.csv", "status", "finished", "table.csv, line 2: cannot be .status 'finished'"),
        ("table.csv", "error_running", "nan", "table.csv, line 2: cannot be .nan is not a percentage"),
        ("table.csv", "error_running", "140", "table.csv, line 2: cannot be .140 is not a percentage"),
        ("table.csv", "batch_size", "x", "batch_size 'x' is not a whole number"),
        ("table.csv", "id", "bn-b8-s0", "cell bn-b8-s0: is not of the config in sweep.json"),
        ("table.csv", "config_hash", "0123", "cell bn-b2-s0: is not of the config in sweep.json"),
        ("metrics.csv", "epoch", "one", "metrics.csv, line 2"),
        ("metrics.csv", "error_running", "-1", "metrics.csv, line 2: cannot be .-1 is not a percentage"),
    ],
)
def test_a_damaged_folder_is_named_with_the_line(kept: Path, name, column, value, message) -> None:
    frame = pd.read_csv(kept / name, dtype=str)
    frame.loc[0, column] = value
    frame.to_csv(kept / name, index=False)
    with pytest.raises(UsageError, match=message):
        write_plots([kept], formats=["png"])


def test_a_folder_of_an_earlier_version_says_what_it_lacks(kept: Path) -> None:
    (kept / "sweep.json").unlink()
    with pytest.raises(UsageError, match=r"has a table\.csv but no sweep\.json"):
        load_table(kept)


def test_a_single_run_is_a_sweep_of_one_cell(sweep) -> None:
    run = sweep(norms=("bn",), batch_sizes=(4,)) / "cells" / "bn-b4-s0"
    assert list(load_table(run)["id"]) == ["bn-b4-s0"]
    plots = write_plots([run], formats=["svg"])
    assert (run / "curves.svg").exists()
    assert plots.notes == ()
    assert load_results([run]).images == [10240]


def test_what_is_not_a_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("services: [web]\n")
    with pytest.raises(UsageError, match="is not the config of a run"):
        load_table(tmp_path)
