"""A user without permission would get a traceback, or be told that what is there is not there."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_runs import TINY, image_folder

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
FOLDER = ("data=image_folder", "data.root=images", "data.train_subset=null")


def obey_permissions() -> None:
    """Root is not asked for permission unless it gives that right up; anybody else has none to give up."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            assert libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """`none`: a folder that may not even be looked into. `images/train/dark`, `own/norm`: not listed."""
    image_folder(tmp_path / "images", per_class=2)
    (tmp_path / "own" / "norm").mkdir(parents=True)
    (tmp_path / "own" / "norm" / "mine.yaml").write_text("factory: torch.nn:BatchNorm2d\n")
    (tmp_path / "none" / "sweep").mkdir(parents=True)
    (tmp_path / "file.pt").write_text("")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    names = ("images/train/dark", "own/norm", "none", "file.pt", "sweep/sweep.json")
    closed = [tmp_path / name for name in names]
    for path in closed:
        path.chmod(0)
    yield tmp_path
    for path in closed:
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", *TINY, "--out", "none/run"), "none/run: Permission denied"),
        (("train", *TINY, *FOLDER), "data.root: images/train/dark cannot be read"),
        (
            ("show-config", "norm=mine", "--config-dir", "own"),
            "--config-dir own: its norm/ cannot be read (Permission denied)",
        ),
        (("list", "norms", "--config-dir", "none/own"), "Permission denied"),
        (("sweep", "batch-size", "--dry-run", "--out", "none/sweep"), "none/sweep: Permission denied"),
        (("sweep", "over", "epochs", "--values", "1", "--out", "none/new"), "none/new: Permission denied"),
        (("status", "none/sweep"), "none/sweep"),
        (("status", "sweep"), "sweep/sweep.json: cannot be read (Permission denied); allow it"),
        (("plot", "none/sweep"), "none/sweep"),
        (("report", "none/sweep"), "none/sweep"),
        (("cancel", "none/sweep"), "none/sweep"),
        (("diagnose", *TINY, "--checkpoint", "none/x.pt"), "none/x.pt"),
        (("diagnose", *TINY, "--checkpoint", "file.pt"), "file.pt"),
        (("bench", "--out", "none/bench"), "none/bench"),
        (("claims", "3", "--out", "none/claims"), "none/claims"),
        (("data", "prepare", "image_stream", "--root", "images", "--out", "none/copy"), "none/copy"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_is_not_allowed_is_one_line_and_exit_2(place, arguments, words):
    command = [sys.executable, "-m", "bnrepro", *arguments]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, preexec_fn=obey_permissions)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert last.startswith("bnrepro: ") and words in last
    assert "Traceback" not in done.stderr
