"""scripts/gpu_check.sh: a user's minutes on a rented GPU would be wasted, or what they gave be lost.

`python` is a stand-in that records its arguments and ends as each test says.
"""

from pathlib import Path

import pytest
from shell_scripts import Script, executable

PYTHON = """#!/usr/bin/env bash
case "$1 $2" in
  '-c import sys, torch'*) exit "${FAKE_NO_CUDA:-0}" ;;
  '-c '*) exit 0 ;;
  '-m torch.utils.collect_env') echo an environment; exit ;;
esac
printf '%s\\n' "$*" >>"$FAKE_LOG"
echo "says $*"
case "$*" in
  *' sweep '*)
    while [ $# -gt 1 ]; do if [ "$1" = --out ]; then mkdir -p "$2"; touch "$2/sweep.json"; fi; shift; done
    exit "${FAKE_SWEEP:-0}" ;;
  '-m pytest'*) exit "${FAKE_TESTS:-0}" ;;
  *' bench '*) exit "${FAKE_BENCH:-0}" ;;
esac
"""


@pytest.fixture
def log(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "calls"
    path.touch()
    executable(tree / ".venv" / "bin" / "python", PYTHON)
    monkeypatch.setenv("FAKE_LOG", str(path))
    (tree / "tests").mkdir()
    (tree / "tests" / "test_device.py").write_text("@pytest.mark.gpu\n")
    (tree / "tests" / "test_other.py").write_text("import hypothesis\n")
    (tmp_path / "the data").mkdir()
    return path


def kinds(log: Path) -> list[str]:
    """What was run, in order."""
    words = ("-m pytest", "bnrepro bench", "profile_step", "bnrepro sweep", "bnrepro status", "bnrepro plot")
    return [next(word for word in words if word in line) for line in log.read_text().splitlines()]


END = ["bnrepro status", "bnrepro plot"]
TRAINS = ("bnrepro bench", "profile_step", "bnrepro sweep")
OTHERS = ["bnrepro sweep", *END] * 3
"""The figures after the first."""
FIGURES = [*["bnrepro sweep"] * 2, *END, *OTHERS]
EVERYTHING = ["-m pytest", "bnrepro bench", "profile_step", "profile_step", *FIGURES]


def check(script: Script, minutes: str = "5", **environment: str):
    return script("gpu_check.sh", minutes, "the data", "the results", **environment)


def test_everything_runs_in_order_of_worth_without_the_network(
    script: Script, log: Path, tmp_path: Path
) -> None:
    done = check(script)
    assert done.returncode == 0, done.stderr
    assert kinds(log) == EVERYTHING
    overrides = f"data.root={tmp_path / 'the data'} data.download=false device=cuda"
    trained = [line for line in log.read_text().splitlines() if any(word in line for word in TRAINS)]
    assert len(trained) == 8
    assert all(overrides in line for line in trained)
    assert "says -m pytest" in (tmp_path / "the results" / "tests.txt").read_text()


def test_the_figures_are_those_of_the_results_at_full_scale(script: Script, log: Path) -> None:
    check(script)
    sweeps = [line.split() for line in log.read_text().splitlines() if "bnrepro sweep" in line]
    experiments = [next(word for word in words if word.startswith("experiment=")) for words in sweeps]
    names = ("cifar10", "cifar10", "cifar10_fixed_sgd", "cifar10_quick", "cifar10_quick_repairs")
    assert experiments == [f"experiment={name}" for name in names]
    assert all({"model=resnet20", "data.train_subset=null"} <= {*words} for words in sweeps)


def test_tests_need_pytest_and_none_of_its_plugins(script: Script, log: Path) -> None:
    """A rented machine's image has PyTorch and perhaps pytest; the project's settings ask for more."""
    check(script)
    arguments = log.read_text().splitlines()[0].split()
    assert arguments[arguments.index("-c") :][:2] == ["-c", "/dev/null"]
    assert [argument for argument in arguments if argument.endswith(".py")] == ["tests/test_device.py"]


def test_tests_that_could_not_begin_are_tried_again(script: Script, log: Path, tmp_path: Path) -> None:
    assert check(script, FAKE_TESTS="4").returncode == 1
    assert not (tmp_path / "the results" / "tests.txt").exists()
    log.write_text("")
    assert check(script).returncode == 0
    assert kinds(log)[0] == "-m pytest"


def test_a_second_call_goes_on_where_the_first_was_killed(script: Script, log: Path, tmp_path: Path) -> None:
    first = check(script, FAKE_BENCH="137", FAKE_SWEEP="130")
    assert first.returncode == 1
    assert kinds(log) == [*EVERYTHING[:5], *END, *OTHERS]
    assert not (tmp_path / "the results" / "bench.txt").exists()
    log.write_text("")
    assert check(script).returncode == 0
    assert kinds(log) == ["bnrepro bench", *FIGURES]


def test_failing_tests_are_kept_and_do_not_stop_the_rest(script: Script, log: Path, tmp_path: Path) -> None:
    done = check(script, FAKE_BENCH="1")
    assert done.returncode == 1
    assert kinds(log) == EVERYTHING
    assert (tmp_path / "the results" / "bench.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("5", "the data"), "usage"),
        (("soon", "the data", "out"), "MINUTES soon"),
        (("0", "the data", "out"), "MINUTES 0"),
        (("5", "nowhere", "out"), "DATA_DIR nowhere"),
    ],
)
def test_wrong_arguments_are_named(
    script: Script, log: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = script("gpu_check.sh", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_machine_without_cuda_is_told_so(script: Script, log: Path) -> None:
    done = check(script, FAKE_NO_CUDA="1")
    assert done.returncode == 2
    assert "no CUDA device" in done.stderr
    assert kinds(log) == []
