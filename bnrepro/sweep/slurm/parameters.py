"""`launcher.…` as what Slurm is told: every value checked before anything is submitted."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bnrepro.config.convert import to_dataclass
from bnrepro.config.errors import UsageError, check_choice
from bnrepro.config.schema import RunConfig

OURS = {
    "job-name": "launcher.job_name",
    "partition": "launcher.partition",
    "account": "launcher.account",
    "qos": "launcher.qos",
    "time": "launcher.time",
    "gpus": "launcher.gpus",
    "gpus-per-node": "launcher.gpus",
    "gpus-per-task": "launcher.gpus",
    "cpus-per-task": "launcher.cpus_per_task",
    "mem": "launcher.memory_gb",
    "nodes": "launcher.nodes",
    "ntasks": "launcher.tasks_per_node",
    "ntasks-per-node": "launcher.tasks_per_node",
    "constraint": "launcher.constraint",
    "exclude": "launcher.exclude",
    "array": "launcher.array_parallelism",
    "requeue": "launcher.requeue",
    "no-requeue": "launcher.requeue",
    "signal": "launcher.signal_delay",
    **dict.fromkeys(("output", "error", "chdir", "wrap", "open-mode"), "nothing: bnrepro needs it itself"),
}
"""sbatch options that `launcher.parameters` may not set, and what sets them."""
START_SECONDS = 60
"""A signal before Python is up would kill the run instead of saving it."""


@dataclass(frozen=True)
class SlurmConfig:
    """`configs/launcher/slurm.yaml` says what each key means."""

    name: str
    job_name: str | None
    partition: str | None
    account: str | None
    qos: str | None
    time: int | str
    gpus: int
    cpus_per_task: int | str
    memory_gb: float | None
    nodes: int
    tasks_per_node: int
    constraint: str | None
    exclude: str | None
    array_parallelism: int
    setup: tuple[str, ...]
    parameters: Mapping[str, Any] | None
    cells_per_job: int | str
    minutes_per_cell: float | str
    requeue: bool
    signal_delay: int

    @property
    def minutes(self) -> int:
        return parse_minutes(self.time)


def slurm_config(launcher: Mapping[str, Any]) -> SlurmConfig:
    """The checked launcher group. Raises `UsageError` naming the key, its value and what it may be."""
    config = to_dataclass(SlurmConfig, launcher, "launcher.")
    least = {"gpus": 0, "nodes": 1, "tasks_per_node": 1, "array_parallelism": 1, "signal_delay": 1}
    for key, minimum in least.items():
        if getattr(config, key) < minimum:
            raise UsageError(f"launcher.{key}={getattr(config, key)}: must be {minimum} or more")
    if config.memory_gb is not None and not config.memory_gb > 0:
        raise UsageError(f"launcher.memory_gb={config.memory_gb:g}: must be above 0")
    for key in ("cpus_per_task", "cells_per_job", "minutes_per_cell"):
        value = getattr(config, key)
        if value != "auto" and (isinstance(value, str) or not value > 0):
            raise UsageError(f"launcher.{key}={value}: must be auto or a number above 0")
    if 60 * config.minutes < config.signal_delay + START_SECONDS:
        raise UsageError(
            f"launcher.time={config.time}: must be {START_SECONDS} s longer than "
            f"launcher.signal_delay={config.signal_delay} (seconds); raise the one or lower the other"
        )
    return config


def parse_minutes(time: int | str) -> int:
    """Whole minutes of `minutes`, `M:S`, `H:M:S`, `D-H`, `D-H:M` or `D-H:M:S`, rounded up."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(time))
    if match is None:
        raise UsageError(f"launcher.time={time}: must be minutes, or as M:S, H:M:S, D-H, D-H:M, D-H:M:S")
    days, *parts = (int(part) if part is not None else None for part in match.groups())
    given = [part for part in parts if part is not None]
    units = (3600, 60, 1) if days is not None or len(given) == 3 else (60, 1, 0)
    seconds = 86400 * (days or 0) + sum(unit * part for unit, part in zip(units, given, strict=False))
    if seconds == 0:
        raise UsageError(f"launcher.time={time}: must be above 0")
    return -(-seconds // 60)


def submitit_parameters(config: SlurmConfig, run: RunConfig) -> dict[str, Any]:
    """The parameters of `submitit.SlurmExecutor`.

    Raises `UsageError` for a text that sbatch could misread, and for a parameter that it does not know.
    """
    cpus = run.threads if config.cpus_per_task == "auto" else config.cpus_per_task
    memory = config.memory_gb and -int(-1024 * config.memory_gb * config.tasks_per_node // 1)
    texts = {
        "job_name": config.job_name or f"bnrepro-{run.experiment}-{run.protocol.name}",
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "constraint": config.constraint,
        "exclude": config.exclude,
    }
    for key, text in texts.items():
        if text is not None:
            check_text(f"launcher.{key}", text)
    parameters = {
        **texts,
        "time": config.minutes,
        "nodes": config.nodes,
        "ntasks_per_node": config.tasks_per_node,
        "cpus_per_task": cpus,
        "gpus_per_node": config.gpus * config.tasks_per_node or None,
        "mem": f"{memory}MB" if memory else None,
        "array_parallelism": config.array_parallelism,
        "setup": list(config.setup) or None,
        "signal_delay_s": config.signal_delay,
        "stderr_to_stdout": True,
        "srun_args": [f"--cpus-per-task={cpus}"],  # srun 22.05 and later do not take sbatch's
    }
    requeue = "requeue" if config.requeue else "no-requeue"
    further = _further(config.parameters or {})
    return {key: value for key, value in parameters.items() if value is not None} | {
        "wckey": None,  # else submitit's own, which is refused where wckeys are tracked
        "additional_parameters": {requeue: True, **further},
    }


def check_text(key: str, text: str) -> None:
    """sbatch reads its options from a file, a line each, and takes backslashes out of them."""
    if not text.isprintable() or "\\" in text:
        raise UsageError(f"{key}={text!r}: sbatch takes no line breaks, control characters or backslashes")


def _further(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`launcher.parameters` as sbatch's long options."""
    options = {str(key).replace("_", "-"): value for key, value in parameters.items()}
    known = sbatch_options() if options else []
    for key, value in options.items():
        if key in OURS:
            raise UsageError(f"launcher.parameters.{key}: not here; set {OURS[key]}")
        check_choice("launcher.parameters", key, known)
        if isinstance(value, list | dict | None):
            raise UsageError(f"launcher.parameters.{key}={value}: must be a text, a number or true")
        check_text(f"launcher.parameters.{key}", str(value))
    check_export("launcher.parameters.export", options.get("export"))
    return {key: value for key, value in options.items() if value is not False}


def check_export(key: str, value: object) -> None:
    """Raises `UsageError` where a job would start without the environment in which bnrepro runs here."""
    if value is not None and str(value).split(",")[0] != "ALL":
        raise UsageError(f"{key}={value}: a job needs this environment; give ALL, or ALL,NAME=VALUE")


def sbatch_options() -> list[str]:
    """The long options that this machine's sbatch knows and `launcher.parameters` may set."""
    if shutil.which("sbatch") is None:
        raise UsageError("launcher=slurm: there is no sbatch on this machine; submit from a login node")
    shown = subprocess.run(["sbatch", "--help"], capture_output=True, text=True, timeout=60)
    names = set(re.findall(r"--([a-z][a-z-]+)", shown.stdout))
    if shown.returncode != 0:
        raise UsageError(f"launcher=slurm: sbatch --help fails: {shown.stderr.strip()}")
    return sorted(names - OURS.keys() - {"help", "usage", "version"})
