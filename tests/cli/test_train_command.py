"""A user would find no run where they left it."""

import json
import os
import re
import signal
import time

import pytest
import yaml
from forked import Program
from tiny_runs import TINY, call, folder_overrides, image_folder, record, tiny_run

from bnrepro.config.paths import config_directory
from bnrepro.rundir.lock import exclusive


def test_a_run_prints_its_result_and_again_without_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = call("train", *TINY)
    assert first.code == 0, first.err
    data, _, rest = first.out.partition("\n")
    assert data == ("bn, batch size 16, seed 0 on digits: 128 training and 360 test images of 10 classes"), (
        "what was trained on has to be seen"
    )
    assert rest.startswith("bn, batch size 16, seed 0: error ")
    directory = tmp_path / "results" / "runs" / "default-coupled-bn-b16-s0"
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir() if path.name != ".lock"}
    again = call("train", *TINY)
    assert again.code == 0
    assert re.match(r"already finished \(result of \d{4}-\d\d-\d\d \d\d:\d\d\)\n", again.out)
    assert again.out.endswith(rest)
    assert {name: (directory / name).stat().st_mtime_ns for name in before} == before


def test_another_config_in_a_finished_directory_is_refused_with_a_diff(tmp_path):
    tiny_run(tmp_path)
    ended = call("train", *TINY, "epochs=2", "--out", str(tmp_path))
    assert ended.code == 2
    assert "epochs: 1 -> 2" in ended.err
    assert ended.err.count("\n") == 1


def test_a_second_process_on_a_directory_is_refused(tmp_path):
    with exclusive(tmp_path, "a run"):
        ended = call("train", *TINY, "--out", str(tmp_path))
    assert ended.code == 2
    assert "a run is under way there" in ended.err


def test_a_diverged_run_exits_0_and_names_the_step(tmp_path):
    diverging = ("norm=none", "norm.skip_init=false", "optimizer.base_lr=1e12")
    ended = call("train", *TINY, *diverging, "--out", str(tmp_path))
    assert ended.code == 0, ended.err
    assert "diverged: loss is " in ended.out
    assert "at step " in ended.out


def test_a_failed_run_exits_1_and_says_why(tmp_path):
    data = folder_overrides(image_folder(tmp_path / "data", size=4), tmp_path / "cache")
    ended = call("train", *TINY, *data, "batch_size=1", "--out", str(tmp_path / "run"))
    assert ended.code == 1
    assert "failed: ValueError: Expected more than 1 value per channel" in ended.out


def test_paths_with_spaces_and_letters_of_any_language(tmp_path):
    root = image_folder(tmp_path / "mes données (été)" / "α,β = γ")
    out = tmp_path / "mes résultats" / "run 1"
    ended = call("train", *TINY, *folder_overrides(root, tmp_path / "le cache"), "--out", str(out))
    assert ended.code == 0, ended.err
    assert json.loads((out / "result.json").read_text())["status"] == "completed"
    assert yaml.safe_load((out / "config.yaml").read_text())["data"]["root"] == str(root)


def test_norms_and_data_sets_of_the_users_own(tmp_path, monkeypatch):
    for group in ("norm", "data"):
        (tmp_path / "configs" / group).mkdir(parents=True)
    digits = yaml.safe_load((config_directory() / "data" / "digits.yaml").read_text())
    few = {**digits, "train_subset": 64}
    (tmp_path / "configs" / "data" / "few_digits.yaml").write_text(yaml.safe_dump(few))
    (tmp_path / "configs" / "norm" / "mine.yaml").write_text(
        "name: mine\nfactory: norms_of_mine:make\ngroups: 2\n"
    )
    (tmp_path / "norms_of_mine.py").write_text(
        "from torch import nn\ndef make(num_channels, *, groups): return nn.GroupNorm(groups, num_channels)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    overrides = [o for o in TINY if not o.startswith("data.")]
    ended = call(
        *("train", *overrides, "norm=mine", "norm.groups=4", "data=few_digits"),
        *("--config-dir", str(tmp_path / "configs"), "--out", str(tmp_path / "run")),
    )
    assert ended.code == 0, ended.err
    tiny_run(tmp_path / "gn", "norm=gn", "norm.groups=4", "data.train_subset=64")
    assert record(tmp_path / "run")["metrics"] == record(tmp_path / "gn")["metrics"]


def test_a_factory_that_cannot_be_imported_is_said_in_a_line(tmp_path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text("name: mine\nfactory: not_there:make\n")
    ended = call("train", *TINY, "norm=mine", "--config-dir", str(tmp_path), "--out", str(tmp_path / "run"))
    assert ended.code == 2
    assert "norm.factory=not_there:make: cannot be imported" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_exits_130_and_the_same_command_continues(tmp_path):
    out = tmp_path / "run"
    arguments = (*TINY, "epochs=8", "batch_size=4", "checkpoint.every_minutes=1e-9")
    process = Program("train", *arguments, "--out", str(out))
    while not (out / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    stopped = r"bnrepro: stopped in epoch \d+, after step \d+ of 256; the same command continues"
    assert re.fullmatch(stopped, err.splitlines()[-1])
    assert not (out / "result.json").exists()
    ended = call("train", *arguments, "--out", str(out))
    assert ended.code == 0, ended.err
    tiny_run(tmp_path / "whole", *arguments)
    assert record(out) == record(tmp_path / "whole")
