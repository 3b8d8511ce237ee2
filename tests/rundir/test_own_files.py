"""A user would go on with another norm than the run began with, after an edit of their own file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import TINY, tiny_run

from bnrepro.config.errors import UsageError

NORM = "from torch import nn\n\n\ndef make(num_channels):\n    return nn.GroupNorm(2, num_channels)\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf" / "norm").mkdir(parents=True)
    (tmp_path / "conf" / "norm" / "mine.yaml").write_text("factory: mine.py:make\n")
    (tmp_path / "conf" / "norm" / "mine.py").write_text(NORM)
    return tmp_path / "conf"


def test_a_file_that_was_changed_is_refused_until_its_content_is_back(conf: Path, tmp_path: Path) -> None:
    file, directory = conf / "norm" / "mine.py", tmp_path / "run"
    first = tiny_run(directory, "norm=mine", config_dir=conf)
    assert list(json.loads((directory / "env.json").read_text())["factory_files"]) == [str(file)]
    file.write_text(NORM.replace("2", "4"))
    with pytest.raises(UsageError, match=f"was trained with another {file}; choose another --out"):
        tiny_run(directory, "norm=mine", config_dir=conf)
    file.write_text(NORM)
    assert tiny_run(directory, "norm=mine", config_dir=conf) == first


def test_the_console_program_sees_the_current_directory(conf: Path, tmp_path: Path) -> None:
    """`python -m bnrepro` does, and the program that pip installs did not."""
    (tmp_path / "my_module.py").write_text(NORM)
    (conf / "norm" / "mine.yaml").write_text("factory: my_module:make\n")
    program = "import sys; sys.path.remove(''); from bnrepro.cli import main; main()"
    arguments = ["train", *TINY, "norm=mine", "--config-dir", str(conf), "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
