"""Where a run stands, on disk. The random streams need only epoch and step of it.

A checkpoint is used only where its content has its checksum and fits the run. Older versions wrote none: for
theirs the zip's own checksums, the config beside it, the ranges and finite numbers have to do.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from bnrepro.config.errors import Damaged
from bnrepro.config.identity import config_hash
from bnrepro.norms.batch_statistics import buffers_of_kind
from bnrepro.rundir import schema
from bnrepro.rundir.files import replace_file
from bnrepro.rundir.reading import open_regular
from bnrepro.rundir.record import CHECKPOINT, Metrics, Record, parse_metrics, read_metrics
from bnrepro.rundir.run_error import evaluated_epochs
from bnrepro.training.session import Session

CHECKSUM = "checksum"
PARTS = {
    "model": schema.group(),
    "optimizer": schema.group(),
    "position": schema.group(),
    "buffers": schema.anything(),
    # older versions wrote the parts above only
    "config_hash": schema.optional(schema.text()),
    "metrics": schema.optional(schema.text()),
    CHECKSUM: schema.optional(schema.text()),
}


def save(directory: Path, state: Mapping[str, Any]) -> None:
    """Write `checkpoint.pt`, whole or not at all. Raises `StorageError`."""
    own = _own(state)
    file = io.BytesIO()
    torch.save({**own, CHECKSUM: checksum(own)}, file)
    replace_file(directory / CHECKPOINT, lambda target: target.write(file.getbuffer()))


def load(session: Session, record: Record) -> tuple[dict[str, Any], list[Metrics], str] | None:
    """What `save` wrote, the evaluations up to there and a remark on them; None where there is no checkpoint.

    Raises `Damaged` for one that is not as it was written, or not of this run at a place that it passes.
    """
    path = record.directory / CHECKPOINT
    try:
        state = _read(path)
        _check_position(path, state["position"], session)
        _check_tensors(path, state, session)
    except FileNotFoundError:
        return None
    return _moved(state, session.device), *_evaluations(path, state, session, record)


def checksum(state: Mapping[str, Any]) -> str:
    """Of the content: names, types, shapes and every byte, in the order in which they stand there."""
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
            digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            digest.update(f"{len(value)} keys ".encode())
            for key, item in value.items():
                digest.update(f"{key!r}: ".encode())
                add(item)
        else:
            digest.update(f"{value!r} ".encode())

    add({key: value for key, value in state.items() if key != CHECKSUM})
    return digest.hexdigest()


def _own(value: Any) -> Any:
    """The same on the CPU, without what a tensor that is part of a larger one would drag along."""
    if isinstance(value, Mapping):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    return value


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value


def _read(path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError, and `Damaged`."""
    with open_regular(path) as file:
        try:
            _check_zip(file)
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # damaged bytes make the unpickler raise whatever there is
            raise Damaged(f"{path}: cannot be read ({str(error) or type(error).__name__})") from error
    state = schema.check(path, state, PARTS)
    if CHECKSUM in state and state[CHECKSUM] != checksum(state):
        raise Damaged(f"{path}: is not as it was written (its checksum differs)")
    return state


def _check_zip(file: IO[bytes]) -> None:
    """PyTorch does not look at the checksums of the records."""
    with zipfile.ZipFile(file) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise ValueError("has compressed records, which PyTorch does not write")
        if bad := archive.testzip():
            raise ValueError(f"the record {bad} is damaged")


def _check_tensors(path: Path, state: Mapping[str, Any], session: Session) -> None:
    """Does everything have the place that this run has for it?"""
    if state.get("config_hash", config_hash(session.config)) != config_hash(session.config):
        raise Damaged(f"{path}: is of another config (config_hash {state['config_hash']})")
    model, parameters = session.trainer.model, [*session.trainer.model.parameters()]
    places = {f"model.{name}": value for name, value in model.state_dict().items()}
    found = {f"model.{name}": value for name, value in state["model"].items()}
    if found.keys() != places.keys():
        odd = sorted(map(str, found.keys() ^ places.keys()))
        raise Damaged(f"{path}: is of another network ({', '.join(odd[:3])}{' …' if odd[3:] else ''})")
    for index, buffers in state["optimizer"].items():
        if index not in range(len(parameters)) or not isinstance(buffers, dict):
            raise Damaged(f"{path}: the optimizer has no parameter {index}")
        for name, value in buffers.items():
            place = torch.zeros(()) if name == "step" else parameters[index]  # Adam counts
            found[f"optimizer.{index}.{name}"] = value
            places[f"optimizer.{index}.{name}"] = place if isinstance(value, Tensor) else value
    if step := state["position"]["step"]:
        found["losses"], places["losses"] = state["position"].get("losses"), torch.empty(step)
    if state["buffers"] is not None:
        found["buffers"] = state["buffers"]
        number = sum(buffer.numel() for buffer in buffers_of_kind(model, "averages"))
        places["buffers"] = torch.empty(len(state["buffers"]), number)
    for name, value in found.items():
        _check_tensor(path, name, value, places[name], finite=CHECKSUM not in state)


def _check_tensor(path: Path, name: str, value: Any, place: Any, finite: bool) -> None:
    """`finite`: a run that is about to end as diverged writes others, and their checksum says so."""
    if isinstance(value, Tensor) != isinstance(place, Tensor):
        raise Damaged(f"{path}: {name} is of another kind than this run's ({type(value).__name__})")
    if not isinstance(value, Tensor):
        return
    if value.shape != place.shape or value.dtype != place.dtype:
        raise Damaged(f"{path}: {name} has the shape {tuple(value.shape)} and {value.dtype}, not this run's")
    if finite and not value.isfinite().all():
        raise Damaged(f"{path}: {name} is not finite")


def _check_position(path: Path, position: dict[str, Any], session: Session) -> None:
    """Is it a point that the run comes by?"""
    epochs, steps = session.config.epochs, session.trainer.steps_per_epoch
    images = steps * session.trainer.sgd_batch_size
    fields = {
        "epoch": schema.whole(),
        "step": schema.whole(),
        "evaluations": schema.whole(),
        "train_seconds": schema.number(),
        "evaluation_seconds": schema.number(),
        "wrong": schema.optional(schema.whole()),
    }
    schema.check(path, position, fields)
    epoch, step = position["epoch"], position["step"]
    if epoch > epochs or step > steps or (epoch == epochs and step > 0):
        raise Damaged(
            f"{path}: stands at epoch {epoch}, step {step}, and the run has {epochs} epochs of {steps} steps"
        )
    if step and not 0 <= position.get("wrong", -1) <= images:
        raise Damaged(f"{path}: has not the number of wrong guesses among {images} images")
    if position["evaluations"] != len(_evaluated(session, epoch)):
        raise Damaged(f"{path}: has {position['evaluations']} evaluations after {epoch} epochs")


def _evaluated(session: Session, epoch: int) -> list[int]:
    config = session.config
    return evaluated_epochs(epoch, config.epochs, config.evaluation.every)


def _evaluations(
    path: Path, state: Mapping[str, Any], session: Session, record: Record
) -> tuple[list[Metrics], str]:
    """The lines of metrics.jsonl up to there: those of the file, or where it lost them, the checkpoint's own.

    Raises `Damaged` where neither has them.
    """
    number = state["position"]["evaluations"]
    file, problem, remark = record.metrics_file, "", ""
    try:
        lines = read_metrics(file)[:number]
    except Damaged as error:
        lines, problem = [], str(error)
    if "metrics" in state:
        kept = parse_metrics(path, state["metrics"])
        if lines != kept:
            remark = f"{problem or f'{file}: does not fit the checkpoint'}; written again from there"
        lines = kept
    if [line["epoch"] for line in lines] != _evaluated(session, state["position"]["epoch"]):
        raise Damaged(problem or f"{file}: has not the {number} evaluations before the checkpoint")
    return lines, remark
