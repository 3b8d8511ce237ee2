"""The view of a run for TensorBoard, drawn from its record. Needs no torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from bnrepro.config.identity import flatten

HPARAMS = ("norm", "batch_size", "seed", "protocol", "sgd_batch_size", "model", "data", "epochs")


class TensorBoard:
    """Scalars at every evaluation, by step; hyperparameters and the error at the end."""

    def __init__(self, directory: Path) -> None:
        self._writer = EventFileWriter(str(directory))

    def evaluation(self, line: dict[str, Any]) -> None:
        """One line of metrics.jsonl; nested values become `error/running` and the like."""
        step = line["step"]
        values = [
            Summary.Value(tag=key.replace(".", "/"), simple_value=float(value))
            for key, value in flatten(line).items()
            if isinstance(value, int | float) and key not in ("epoch", "step")
        ]
        self._write(Summary(value=values), step)

    def result(self, result: dict[str, Any], base_lr: float) -> None:
        """The HPARAMS tab: what tells the cells of a sweep apart, and the run's error."""
        parameters = {key: result[key] for key in HPARAMS} | {"base_lr": base_lr}
        name = f"{result['norm']}-b{result['batch_size']}-s{result['seed']}"
        self._write(hparams.hparams_pb(parameters, trial_id=name), 0)
        errors = {f"final/error_{name}": value for name, value in result["error"].items()}
        self._write(Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in errors.items()]), 0)

    def _write(self, summary: Summary, step: int) -> None:
        self._writer.add_event(Event(summary=summary, step=step, wall_time=time.time()))

    def close(self) -> None:
        self._writer.close()
