"""A user would take a mistake for a result, or not find out why a run failed."""

from pathlib import Path

import pytest
from tiny_runs import TINY, call, tiny_config
from torch import nn

from bnrepro.rundir.result import read_result, result_head
from bnrepro.training.run import run


class NotFinite(nn.Identity):
    def forward(self, x):
        return x * float("nan")


class Raising(nn.Identity):
    broken = True
    error: Exception = KeyError("a key\x1b[31m\nof mine")

    def forward(self, x):
        if self.broken:
            raise self.error
        return x


def not_finite(num_channels: int) -> nn.Module:
    return NotFinite()


def raising(num_channels: int) -> nn.Module:
    return Raising()


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    (tmp_path / "conf" / "norm").mkdir(parents=True)
    for factory in (not_finite, raising):
        path = tmp_path / "conf" / "norm" / f"{factory.__name__}.yaml"
        path.write_text(f"name: {factory.__name__}\nfactory: {__name__}:{factory.__name__}\n")
    return tmp_path / "conf"


def test_a_first_loss_that_is_not_finite_is_a_failure_and_not_a_result(tmp_path, config_dir):
    """Nothing has been trained: the error of chance in a figure would be that of a mistake."""
    config = tiny_config("norm=not_finite", config_dir=config_dir)
    result = run(config, tmp_path / "run")
    assert (result["status"], result["error"], result["data"]) == ("failed", {}, "digits")
    assert "loss is nan before any weight has changed" in result["message"]
    assert "look at the options of norm and model" in result["message"]
    assert read_result(tmp_path / "run", result_head(config)) == result


def test_the_traceback_is_kept_until_the_run_is_tried_again(tmp_path, config_dir, monkeypatch):
    file = tmp_path / "run" / "error.txt"
    arguments = ("train", *TINY, "norm=raising", "--config-dir", str(config_dir), "--out", str(file.parent))
    ended = call(*arguments)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    line = ended.out.splitlines()[0]
    assert line.endswith(f"failed: KeyError: 'a key\\x1b[31m\\nof mine' (traceback: {file})")
    assert "test_failure.py" in file.read_text()
    monkeypatch.setenv("BNREPRO_DEBUG", "1")
    assert "Traceback (most recent call last)" in call(*arguments).err
    monkeypatch.setattr(Raising, "broken", False)
    assert call(*arguments).code == 0
    assert not file.exists()


def test_the_traceback_passes_no_terminal_escape_on(tmp_path, config_dir, monkeypatch):
    """`cat error.txt` would let the name of a file clear the screen, or worse."""
    monkeypatch.setattr(Raising, "error", ValueError("a.png\x1b[2J: cannot be read\nx"))
    run(tiny_config("norm=raising", config_dir=config_dir), tmp_path / "run")
    text = (tmp_path / "run" / "error.txt").read_text()
    assert text.endswith("ValueError: a.png\\x1b[2J: cannot be read\nx\n")
