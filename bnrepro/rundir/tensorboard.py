"""The view of a run for TensorBoard, drawn from its record. Needs no torch."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from bnrepro.config.identity import flatten, numeric_part
from bnrepro.rundir.boards import board_directory, sweep_board
from bnrepro.rundir.files import create, make_directory, remove, storing

METRIC = "final/error_running"
"""The one number of a run in the HPARAMS tab."""
OUTSIDE = {"train_error": "error/train"}
EXPERIMENT = ".experiment"
"""How the name of the event file ends that says what a sweep varies."""


def tag_of(key: str) -> str:
    """Under which name a value of metrics.jsonl or probes.jsonl is shown, in one of three groups.

    `error/…`: errors in percent; `train/…`: what training reports; `inside/…`: what is measured in a layer,
    `inside/spread_mean/stage1.0.norm1`.
    """
    group, _, name = key.partition(".")
    if not name:
        return OUTSIDE.get(key, f"train/{key}")
    if group == "error":
        return f"error/{name}"
    layer, _, measure = name.rpartition(".")
    what = measure if group == "layers" else f"{group}.{measure}"
    return f"inside/{what}/{layer}" if layer else f"inside/{what}"


def hyperparameters(config: Mapping[str, Any]) -> dict[str, str | float]:
    """What tells runs apart, by the keys of overrides; `norm`, `model` … are the names."""
    flat = {key.replace(".options.", "."): value for key, value in numeric_part(config).items()}
    named = {key.removesuffix(".name"): value for key, value in flat.items()}
    return {
        key: value if isinstance(value, int | float | str) else str(value) for key, value in named.items()
    }


def write_experiment(sweep: Path, plan: Mapping[str, Any]) -> None:
    """Say what a sweep varies, and over which values: the HPARAMS tab then shows these and no other.

    `plan` is what sweep.json says. In the place of what an earlier call wrote. Raises `StorageError`.
    """
    from tensorboard.plugins.hparams import summary_v2 as hparams

    key = plan["axis"]["key"] if "axis" in plan else "batch_size"
    # of the cells: a norm that is trained once has the SGD batch for its size
    values = sorted({cell.get("x", cell["batch_size"]) for cell in plan["cells"]})
    varied = {"norm": plan["norms"], key: values, "seed": plan["seeds"]}
    summary = hparams.hparams_config_pb(
        [hparams.HParam(key, hparams.Discrete(_of_one_type(values))) for key, values in varied.items()],
        [hparams.Metric(METRIC, display_name="error (%)")],
    )
    board = sweep_board(sweep)
    old = list(board.glob(f"*{EXPERIMENT}"))
    events = EventFile(board, EXPERIMENT)
    events.write(summary, 0)
    events.close()
    for file in old:
        remove(file)


def _of_one_type(values: Sequence[Any]) -> list[Any]:
    return [float(value) for value in values] if any(isinstance(v, float) for v in values) else list(values)


class EventFile:
    """A fresh file of events, as TensorBoard's own writer names it; written at once, without a thread.

    Raises `StorageError` where it cannot be written.
    """

    def __init__(self, directory: Path, suffix: str = "") -> None:
        make_directory(directory)
        now, host = time.time(), socket.gethostname()
        self.path = directory / f"events.out.tfevents.{now:.6f}.{host}.{os.getpid()}{suffix}"
        with storing(self.path):
            self._file = create(self.path)
        self._writer = RecordWriter(self._file)
        self._add(Event(wall_time=now, file_version="brain.Event:2"))

    def write(self, summary: Summary, step: int) -> None:
        self._add(Event(summary=summary, step=step, wall_time=time.time()))

    def _add(self, event: Event) -> None:
        with storing(self.path):
            self._writer.write(event.SerializeToString())
            self._writer.flush()

    def close(self) -> None:
        with storing(self.path):
            self._file.close()


class TensorBoard:
    """Scalars at every evaluation, by images seen; hyperparameters and the error at the end."""

    def __init__(self, run: Path, images_per_step: int) -> None:
        self._run = run
        self._images_per_step = images_per_step
        self._events = EventFile(board_directory(run))

    def evaluation(self, line: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl or probes.jsonl, `tag_of` its keys."""
        values = [
            Summary.Value(tag=tag_of(key), simple_value=float(value))
            for key, value in flatten(line).items()
            if isinstance(value, int | float) and key not in ("epoch", "step")
        ]
        self._events.write(Summary(value=values), line["step"] * self._images_per_step)

    def result(self, result: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """The HPARAMS tab: what tells the run apart, and its error."""
        from tensorboard.plugins.hparams import summary_v2 as hparams

        self._events.write(hparams.hparams_pb(hyperparameters(config), trial_id=self._run.name), 0)
        final = Summary.Value(tag=METRIC, simple_value=result["error"]["running"])
        self._events.write(Summary(value=[final]), 0)

    def close(self) -> None:
        self._events.close()
