"""launcher.…: what is wrong is said before anything is submitted, and nothing reaches a shell unquoted."""

from pathlib import Path

import pytest

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.sweep.slurm.parameters import parse_minutes, slurm_config, submitit_parameters
from bnrepro.sweep.slurm.submit import check_directory

SBATCH = """#!/bin/sh
echo "      --reservation=name      allocate resources from named reservation"
echo "  -p, --partition=partition   partition requested"
echo "      --export[=names]        specify environment variables to export"
echo "      --exclusive[=user]      allocate nodes in exclusive mode"
"""


def composed(*overrides: str) -> RunConfig:
    return compose_config(["launcher=slurm", *overrides])


def told(*overrides: str) -> dict[str, object]:
    run = composed(*overrides)
    return submitit_parameters(slurm_config(run.launcher), run)


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help text of an sbatch that knows four options."""
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(SBATCH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        (90, 90),
        ("90", 90),
        ("90:30", 91),
        ("1:30:00", 90),
        ("1:30:01", 91),
        ("2-12", 3600),
        ("1-0:30", 1470),
        ("1-00:00:01", 1441),
    ],
)
def test_time_in_all_of_slurms_forms(time: int | str, minutes: int) -> None:
    assert parse_minutes(time) == minutes


@pytest.mark.parametrize("time", ["an hour", "", "0", "1-", "1:2:3:4", "-5", "1.5"])
def test_time_that_slurm_does_not_know_names_its_forms(time: str) -> None:
    with pytest.raises(UsageError, match=r"launcher\.time=.*D-H:M:S|launcher\.time=0: must be above 0"):
        parse_minutes(time)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("launcher.gpus=-1", "launcher.gpus=-1: must be 0 or more"),
        ("launcher.gpus=two", "launcher.gpus=two: must be a whole number"),
        ("launcher.nodes=0", "launcher.nodes=0: must be 1 or more"),
        ("launcher.cells_per_job=many", "launcher.cells_per_job=many: must be auto or a number above 0"),
        ("launcher.minutes_per_cell=0", "launcher.minutes_per_cell=0.0: must be auto or a number above 0"),
        ("launcher.memory_gb=0", "launcher.memory_gb=0: must be above 0"),
        ("launcher.requeue=maybe", "launcher.requeue=maybe: must be true or false"),
        ("launcher.setup=module", "launcher.setup=module: must be a list"),
        ("launcher.time=2", r"launcher.time=2: must be 60 s longer than launcher.signal_delay=120"),
        ("+launcher.partitoin=gpu", "launcher.partitoin: no such key; did you mean partition"),
        ("+launcher.colour=red", "launcher.colour: no such key; choices: account, array_parallelism, "),
    ],
)
def test_bad_value_is_one_line_with_key_and_choices(override: str, line: str) -> None:
    with pytest.raises(UsageError) as refused:
        slurm_config(composed(override).launcher)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_launcher_key_shows_the_launchers_own_keys() -> None:
    with pytest.raises(UsageError, match=r"launcher\.colour: no such key; choices: account, array_par"):
        composed("launcher.colour=red")


@pytest.mark.usefixtures("sbatch")
def test_unknown_sbatch_parameter_shows_those_that_this_sbatch_knows() -> None:
    with pytest.raises(UsageError, match=r"launcher\.parameters=reservatoin: choices: exclusive, "):
        told("launcher.parameters={reservatoin: maintenance}")


@pytest.mark.usefixtures("sbatch")
def test_parameter_with_a_key_of_its_own_is_sent_there() -> None:
    with pytest.raises(UsageError, match=r"launcher\.parameters\.cpus-per-task: not here; set launch"):
        told("launcher.parameters={cpus_per_task: 4}")


@pytest.mark.usefixtures("sbatch")
def test_further_parameters_reach_sbatch() -> None:
    further = told("launcher.parameters={reservation: a week, exclusive: true}")["additional_parameters"]
    assert further == {"requeue": True, "reservation": "a week", "exclusive": True}


@pytest.mark.usefixtures("sbatch")
@pytest.mark.parametrize("value", ["NONE", "NIL", "HOME,PATH"])
def test_environment_that_a_job_would_lack_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=rf"launcher\.parameters\.export={value}: .*give ALL"):
        told(f"launcher.parameters={{export: '{value}'}}")
    assert told("launcher.parameters={export: 'ALL,A=1'}")


def test_every_key_reaches_slurm_under_its_name() -> None:
    parameters = told(
        "launcher.partition=gpu",
        "launcher.account=vision",
        "launcher.qos=long",
        "launcher.time=1-12",
        "launcher.gpus=1",
        "launcher.cpus_per_task=3",
        "launcher.memory_gb=1.5",
        "launcher.nodes=2",
        "launcher.tasks_per_node=4",
        "launcher.constraint=a100|h100",
        "launcher.exclude='node[1-3]'",
        "launcher.array_parallelism=5",
        "launcher.setup=['module load cuda']",
        "launcher.requeue=false",
        "launcher.signal_delay=30",
    )
    assert parameters == {
        "job_name": "bnrepro-default-coupled",
        "partition": "gpu",
        "account": "vision",
        "qos": "long",
        "time": 2160,
        "gpus_per_node": 4,
        "cpus_per_task": 3,
        "mem": "6144MB",
        "nodes": 2,
        "ntasks_per_node": 4,
        "constraint": "a100|h100",
        "exclude": "node[1-3]",
        "array_parallelism": 5,
        "setup": ["module load cuda"],
        "signal_delay_s": 30,
        "stderr_to_stdout": True,
        "srun_args": ["--cpus-per-task=3"],
        "wckey": None,
        "additional_parameters": {"no-requeue": True},
    }


def test_a_run_gets_as_many_cpus_as_it_has_threads() -> None:
    assert told("threads=4")["cpus_per_task"] == 4


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\x1b[2J"])
def test_name_that_would_end_the_sbatch_line_is_refused(name: str) -> None:
    """A line break in `#SBATCH --job-name=` would make the rest of the name a shell command."""
    run = composed()
    config = slurm_config({**run.launcher, "job_name": name})
    with pytest.raises(UsageError, match=r"launcher\.job_name=.*no line breaks"):
        submitit_parameters(config, run)


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "50%jobs"])
def test_directory_that_slurm_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"--out[ =]"):
        check_directory(tmp_path / name)
