"""The smallest real runs, and how to compare them: ResNet-8 on a few of scikit-learn's digits."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from bnrepro.cli import main
from bnrepro.config.compose import compose_config
from bnrepro.config.schema import RunConfig
from bnrepro.training.run import run

TINY = (
    "data.train_subset=128",
    "batch_size=16",
    "epochs=1",
    "evaluation.every=0",
    "evaluation.precise_images=64",
    "tensorboard=false",
    "device=cpu",
)
MAY_DIFFER = ("_seconds", "_per_second", "memory_bytes")


def tiny_config(*overrides: str, config_dir: Path | None = None) -> RunConfig:
    return compose_config([*TINY, *overrides], config_dir)


def tiny_run(
    directory: Path, *overrides: str, config_dir: Path | None = None, **options: Any
) -> dict[str, Any]:
    """Train it in this process; its result."""
    return run(tiny_config(*overrides, config_dir=config_dir), directory, **options)


@dataclass(frozen=True)
class Ended:
    """How a call of the program ended."""

    code: int
    out: str
    err: str


def call(*arguments: str) -> Ended:
    """The program in this process, from its `main`."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["bnrepro", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def record(directory: Path) -> dict[str, Any]:
    """All that two equal runs must have in common: result.json and metrics.jsonl without times."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    result = json.loads((directory / "result.json").read_text())
    return _stable({"result": result, "metrics": [json.loads(line) for line in lines]})


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(item) for key, item in value.items() if not key.endswith(MAY_DIFFER)}
    return [_stable(item) for item in value] if isinstance(value, list) else value


def image_folder(root: Path, size: int = 8, per_class: int = 32, suffix: str = "png") -> Path:
    """`train/` and `test/` of two classes that differ in brightness: square RGB images of `size` pixels."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, low in (("dark", 0), ("bright", 128)):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(per_class):
                pixels = rng.integers(low, low + 128, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.{suffix}")
    return root


def folder_overrides(root: Path, cache: Path) -> tuple[str, ...]:
    """Overrides for a tree of `image_folder`."""
    return (
        "data=image_folder",
        f"data.root={root}",
        f"data.cache_dir={cache}",
        "data.train_subset=null",
        "data.padding=1",
    )
