"""A user would wait for libraries that a command does not need; which it may import is stated here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import TINY, tiny_run

COMPOSE = ("hydra", "omegaconf", "yaml")
TRAIN = (*COMPOSE, "torch", "numpy", "tensorboard")
LONG = (*(key for key in TINY if not key.startswith(("batch_size", "epochs"))), "epochs=8")
"""At a batch size of 1 so many steps that they are recorded."""
HEAVY = (
    *("hydra", "omegaconf", "yaml", "numpy", "pandas", "matplotlib", "scipy", "scipy.stats", "sklearn"),
    *("torch", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "functorch", "PIL", "jinja2"),
    *("tensorboard", "submitit", "plotly"),
)
"""What takes a tenth of a second or more, and PyTorch's compiler, which takes two."""
CALL = """
import contextlib, io, json, sys
from bnrepro.cli import main
sys.argv = ["bnrepro", *json.loads(sys.argv[1])]
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main()
print(json.dumps([out.getvalue(), list(sys.modules)]))
"""
HELP = """
import contextlib, io, json, sys
import typer
from bnrepro.cli import app, main
def calls(command, words=()):
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from calls(below, (*words, name))
called = [*calls(typer.main.get_command(app))]
for words in called:
    sys.argv = ["bnrepro", *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    assert "Usage: bnrepro" in out.getvalue(), out.getvalue()
print(json.dumps([[" ".join(words) for words in called], list(sys.modules)]))
"""


def imported(program: str, *arguments: str) -> tuple[object, set[str]]:
    """What the program printed, and those of HEAVY that it imported."""
    command = [sys.executable, "-c", program, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed, modules = json.loads(done.stdout)
    return printed, {name for name in HEAVY if name in modules}


def test_the_help_of_every_command_imports_nothing_heavy() -> None:
    commands, modules = imported(HELP)
    assert isinstance(commands, list)
    assert {"train", "sweep batch-size", "sweep over", "plot", "status", "show-config"} <= {*commands}
    assert modules == set()


@pytest.mark.parametrize("arguments", ["--version", "show-config norm=gn", "show-config norm=foo"])
def test_composing_a_config_needs_hydra_alone(arguments: str) -> None:
    _, modules = imported(CALL, *arguments.split())
    assert modules <= {*COMPOSE}


def test_a_run_on_digits_imports_neither_a_compiler_nor_image_libraries(tmp_path: Path) -> None:
    out, modules = imported(CALL, "train", *TINY, "tensorboard=true", "--out", str(tmp_path / "run"))
    assert "error " in str(out)
    assert modules <= {*TRAIN, "PIL"}


def test_a_run_with_recorded_steps_imports_no_compiler(tmp_path: Path) -> None:
    out, modules = imported(CALL, "train", *LONG, "batch_size=1", "--out", str(tmp_path / "run"))
    assert "error " in str(out)
    assert modules <= {*TRAIN, "PIL"}


def test_a_dry_run_with_recorded_steps_imports_no_compiler(tmp_path: Path) -> None:
    grid = ("--norms", "bn,gn", "--batch-sizes", "1", "--out", str(tmp_path / "sweep"))
    out, modules = imported(CALL, "sweep", "batch-size", *LONG, "--dry-run", *grid)
    assert "about " in str(out)
    assert modules <= {*TRAIN, "PIL"}


def test_the_status_of_a_sweep_needs_no_torch(tmp_path: Path) -> None:
    tiny_sweep(tmp_path)
    _, modules = imported(CALL, "status", str(tmp_path))
    assert modules <= {"yaml"}


def test_a_plot_needs_neither_torch_nor_a_statistics_library(tmp_path: Path) -> None:
    tiny_sweep(tmp_path)
    _, modules = imported(CALL, "plot", str(tmp_path), "--format", "png")
    assert modules <= {"yaml", "numpy", "pandas", "matplotlib", "PIL"}


def tiny_sweep(directory: Path) -> None:
    """A sweep of one cell that is completed."""
    from bnrepro.rundir.files import write_json
    from bnrepro.sweep.plan import Axes, plan_sweep, sweep_json

    overrides = [override for override in TINY if not override.startswith("batch_size")]
    plan = plan_sweep(overrides, Axes(("gn",), (16,), (0,)), 128)
    (cell,) = plan.cells
    tiny_run(cell.directory(directory), "norm=gn")
    write_json(directory / "sweep.json", sweep_json(plan))
