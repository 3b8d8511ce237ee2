"""The view of a run for TensorBoard, drawn from its record. Needs no torch."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.record_writer import RecordWriter

from bnrepro.config.identity import flatten
from bnrepro.rundir.files import create, make_directory, storing

HPARAMS = ("norm", "batch_size", "seed", "protocol", "sgd_batch_size", "model", "data", "epochs")


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
    """Scalars at every evaluation, by step; hyperparameters and the error at the end."""

    def __init__(self, directory: Path) -> None:
        self._events = EventFile(directory)

    def evaluation(self, line: dict[str, Any]) -> None:
        """One line of metrics.jsonl or probes.jsonl; nested values become `error/running` and the like."""
        values = [
            Summary.Value(tag=key.replace(".", "/"), simple_value=float(value))
            for key, value in flatten(line).items()
            if isinstance(value, int | float) and key not in ("epoch", "step")
        ]
        self._events.write(Summary(value=values), line["step"])

    def result(self, result: dict[str, Any], base_lr: float) -> None:
        """The HPARAMS tab: what tells the cells of a sweep apart, and the run's error."""
        parameters = {key: result[key] for key in HPARAMS} | {"base_lr": base_lr}
        name = f"{result['norm']}-b{result['batch_size']}-s{result['seed']}"
        self._events.write(hparams.hparams_pb(parameters, trial_id=name), 0)
        errors = {f"final/error_{name}": value for name, value in result["error"].items()}
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in errors.items()]
        self._events.write(Summary(value=values), 0)

    def close(self) -> None:
        self._events.close()
