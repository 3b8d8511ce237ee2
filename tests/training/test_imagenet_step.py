"""The road of the ImageNet figure, up to one step of the real network: no data set, no GPU."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from forked import Program
from PIL import Image
from tiny_runs import call

from bnrepro.config.compose import compose_config
from bnrepro.training.batch_sizes import batch_sizes
from bnrepro.training.optimizer import lr_schedule, scaled_lr


@pytest.fixture
def photos(tmp_path) -> Path:
    """16 training and 4 evaluation images of two classes."""
    draw = np.random.default_rng(0)
    for folder, count in (("train", 8), ("val", 2)):
        for name in ("n00000001", "n00000002"):
            for i in range(count):
                path = tmp_path / "photos" / folder / name / f"{i}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((320, 240)).save(path, quality=95)
    return tmp_path / "photos"


def overrides(root: Path, *more: str) -> list[str]:
    return [f"data.root={root}", f"data.cache_dir={root.parent / 'cache'}", "data.stream.workers=0", *more]


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["bn", "gn", "none"])
def test_a_step_of_resnet50_at_224_for_8_workers_of_2(photos, tmp_path, norm):
    arguments = overrides(
        photos, "experiment=wu_he_2018", f"norm={norm}", "batch_size=2", "precision=float32", "device=cpu",
        "epochs=1", "schedule.warmup_epochs=0", "evaluation.precise_images=16", "evaluation.batch_size=4",
    )  # fmt: skip
    done = call("train", *arguments, "--out", str(tmp_path / "run"))
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "completed"
    assert (result["model"], result["data"]) == ("resnet50", "ImageNet (2 classes)")
    assert (result["workers"], result["sgd_batch_size"]) == (8, 16)
    assert result["norm_batch_size"] == (2 if norm == "bn" else None)
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert line["step"] == 1
    assert 0.5 < line["loss"] < 2  # two classes: log 2 = 0.69 for a guess


def test_the_protocol_is_wu_and_he_s():
    """Another rate or decay would be another figure."""
    config = compose_config(["experiment=wu_he_2018", "data.root=/data", "batch_size=4"])
    sizes = batch_sizes(config.protocol, config.batch_size)
    assert (sizes.workers, sizes.sgd_batch_size, sizes.norm_batch_size) == (8, 32, 4)
    assert scaled_lr(config.optimizer, sizes.sgd_batch_size) == pytest.approx(0.1 * 32 / 256)
    optimizer = config.optimizer
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.9, True, 1e-4)
    assert (config.epochs, config.model.name, config.model.zero_init_last) == (100, "resnet50", True)
    rate = lr_schedule(config.schedule, 0.1, 0.1, config.epochs, 10)
    assert [rate(10 * epoch) for epoch in (0, 29, 30, 60, 90, 99)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.001, 0.0001, 0.0001]
    )
    stream = config.data.stream
    assert (stream.crop_size, stream.resize_size, stream.jitter, stream.lighting) == (224, 256, 0.4, 0.1)


@pytest.mark.parametrize("batch_size", [32, 64])
def test_warm_up_starts_at_the_rate_of_256_images(batch_size):
    config = compose_config(["experiment=wu_he_2018", "data.root=/data", f"batch_size={batch_size}"])
    peak = scaled_lr(config.optimizer, 8 * batch_size)
    rate = lr_schedule(config.schedule, config.optimizer.base_lr, peak, config.epochs, 10)
    assert rate(0) == pytest.approx(0.1)
    assert rate(50) == peak


def metrics(directory: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    volatile = re.compile(r".*(_seconds|_per_second|memory_bytes)")
    return [{k: v for k, v in line.items() if not volatile.fullmatch(k)} for line in lines]


@pytest.mark.slow
def test_a_stopped_epoch_goes_on_with_the_same_images(photos, tmp_path):
    """ImageNet's epochs take an hour: a job that ends must not repeat or skip any of it."""
    arguments = overrides(
        photos, "data=image_stream", "model=resnet18", "protocol=workers", "protocol.workers=2",
        "batch_size=1", "epochs=4", "data.stream.workers=1", "data.stream.crop_size=64",
        "data.stream.resize_size=72", "evaluation.precise_images=16",
    )  # fmt: skip

    def command(name: str) -> tuple[str, ...]:
        return ("train", *arguments, "--out", str(tmp_path / name))

    assert call(*command("whole")).code == 0
    stopped = Program(*command("stopped"))
    while not (tmp_path / "stopped" / "metrics.jsonl").exists() or not metrics(tmp_path / "stopped"):
        assert stopped.poll() is None, stopped.communicate()
        time.sleep(0.05)
    os.killpg(stopped.pid, signal.SIGTERM)  # as Slurm does: the loader processes get it too
    said = stopped.communicate()
    assert stopped.returncode == 130, said
    assert call(*command("stopped")).code == 0
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")
