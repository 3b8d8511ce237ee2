"""scripts/reproduce.sh: arguments reach the sweep, its exit code the user, and the figure is drawn.

`bnrepro` is a stand-in that records its arguments and ends as each test says.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shell_scripts import Script, executable

BNREPRO = """#!/usr/bin/env bash
printf '%s\\0' "$@" >>"$FAKE_LOG"
printf '\\n\\0' >>"$FAKE_LOG"
if [ "$1" = plot ]; then exit "${FAKE_PLOT_STATUS:-0}"; fi
if [ "$1" = report ]; then exit 0; fi
trap 'echo "stopped, 3 cells kept"; exit 130' INT
if [ -n "$FAKE_WAIT" ]; then echo waiting; for _ in {1..500}; do sleep 0.1; done; fi
printf 'cells, and a word on bnrepro plot elsewhere\\n%s' "$FAKE_LAST"
exit "${FAKE_STATUS:-0}"
"""


@pytest.fixture
def log(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in records its calls; set-up does nothing."""
    path = tmp_path / "calls"
    path.touch()
    executable(tree / "scripts" / "setup.sh", "#!/bin/sh\n")
    executable(tree / ".venv" / "bin" / "bnrepro", BNREPRO)
    (tree / ".venv" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("FAKE_LOG", str(path))
    monkeypatch.setenv("FAKE_LAST", "bnrepro plot results/runs/digits-fixed_sgd\n")
    return path


def calls(log: Path) -> list[list[str]]:
    return [call.split("\0")[:-1] for call in log.read_text().split("\n\0")[:-1]]


SWEEP = ["sweep", "batch-size"]
PLOT, REPORT = ([name, "--", "results/runs/digits-fixed_sgd"] for name in ("plot", "report"))


def test_default_is_the_digits_experiment(script: Script, log: Path) -> None:
    done = script("reproduce.sh")
    assert done.returncode == 0, done.stderr
    assert calls(log) == [[*SWEEP, "experiment=digits"], PLOT, REPORT]


def test_arguments_go_to_the_sweep_as_they_are(script: Script, log: Path) -> None:
    arguments = ["--seeds", "0,1", "data.root=/a dir/with 'quotes' and $(date)", ""]
    script("reproduce.sh", *arguments)
    assert calls(log)[0] == [*SWEEP, "experiment=digits", *arguments]


def test_an_experiment_of_the_users_replaces_the_default(script: Script, log: Path) -> None:
    script("reproduce.sh", "--jobs", "1", "experiment=cifar10_quick", "data.root=DIR")
    assert calls(log)[0] == [*SWEEP, "--jobs", "1", "experiment=cifar10_quick", "data.root=DIR"]


def test_it_ends_by_saying_where_everything_is(script: Script, log: Path) -> None:
    output = script("reproduce.sh").stdout
    for name in ("figure.png", "table.csv", "tensorboard"):
        assert f"results/runs/digits-fixed_sgd/{name}" in output
    assert output.rstrip().endswith("results/runs/digits-fixed_sgd/report.html")
    assert "tensorboard --logdir results/runs/digits-fixed_sgd/tensorboard" in output.replace("\\ ", " ")


@pytest.mark.parametrize(
    "directory", ["with space/and 'quote'", "$(touch oops)", "two\nlines", "größe", "-dash"]
)
def test_awkward_directories_reach_the_plot(
    script: Script, log: Path, tmp_path: Path, directory: str
) -> None:
    script("reproduce.sh", FAKE_LAST=f"bnrepro plot {shlex.quote(directory)}\n")
    assert calls(log)[1:] == [["plot", "--", directory], ["report", "--", directory]]
    assert not (tmp_path / "oops").exists()


def test_a_failed_cell_still_gives_a_figure_and_exit_1(script: Script, log: Path) -> None:
    done = script("reproduce.sh", FAKE_STATUS="1")
    assert done.returncode == 1
    assert calls(log)[1] == PLOT
    assert "Some cells failed" in done.stdout


ONE_VALUE = "ValueError: Expected more than 1 value per channel when training, got input size [1, 64, 1, 1]"


@pytest.mark.parametrize(
    ("messages", "status"), [([ONE_VALUE] * 2, 0), ([ONE_VALUE, "the memory is full"], 1)]
)
def test_batch_norm_without_variance_is_what_the_figure_shows(
    script: Script, log: Path, tmp_path: Path, messages: list[str], status: int
) -> None:
    """The first command of a newcomer would end as if something were broken."""
    rows = ["norm,status,message", "bn,completed,", *(f'bn,failed,"{message}"' for message in messages)]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    done = script("reproduce.sh", FAKE_STATUS="1", FAKE_LAST=f"bnrepro plot {shlex.quote(str(tmp_path))}\n")
    assert done.returncode == status
    assert ("Some cells failed" in done.stdout) is (status == 1)


@pytest.mark.parametrize("status", [2, 130])
def test_a_refused_or_stopped_sweep_draws_nothing(script: Script, log: Path, status: int) -> None:
    assert script("reproduce.sh", FAKE_STATUS=str(status)).returncode == status
    assert len(calls(log)) == 1


@pytest.mark.parametrize("last", ["", "27 cells\n", "bnrepro plot DIR\nsomething after it\n"])
def test_a_dry_run_draws_nothing(script: Script, log: Path, last: str) -> None:
    assert script("reproduce.sh", "--dry-run", FAKE_LAST=last).returncode == 0
    assert len(calls(log)) == 1


def test_a_failed_plot_is_not_hidden(script: Script, log: Path) -> None:
    done = script("reproduce.sh", FAKE_PLOT_STATUS="2")
    assert done.returncode == 2
    assert "figure.png" not in done.stdout


def test_ctrl_c_lets_the_sweep_finish_its_last_words(tree: Path, log: Path) -> None:
    command = ["bash", str(tree / "scripts" / "reproduce.sh")]
    with subprocess.Popen(
        command,
        env=os.environ | {"FAKE_WAIT": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a test run in the background has Ctrl-C switched off, and bash cannot switch it on again
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        os.killpg(process.pid, signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == 130
    assert output == "stopped, 3 cells kept\n"
    assert len(calls(log)) == 1
