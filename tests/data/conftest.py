"""Small image trees and configurations for the data tests."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnrepro.config.compose import compose_config
from bnrepro.config.schema import DataConfig
from bnrepro.data import load_data


@functools.cache
def group(name: str) -> DataConfig:
    return compose_config([f"data={name}"]).data


@pytest.fixture
def data_config(tmp_path: Path) -> Iterator[Callable[..., DataConfig]]:
    """`data_config(name, **changes)`: a YAML of `configs/data/`, with a cache of the test's own."""
    load_data.cache_clear()

    def make(name: str, **changes: object) -> DataConfig:
        return replace(group(name), **{"cache_dir": str(tmp_path / "cache"), **changes})

    yield make
    load_data.cache_clear()


@pytest.fixture
def write_image() -> Callable[..., np.ndarray]:
    """`write_image(path, height, width, seed)`: writes random pixels and returns them."""

    def write(path: Path, height: int = 6, width: int = 6, seed: int = 0) -> np.ndarray:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return pixels

    return write


@pytest.fixture
def make_tree(tmp_path: Path, write_image: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """`make_tree(classes=2, per_class=3, side=6)`: a root with train/ and test/ of PNG files."""

    def make(
        classes: int = 2, per_class: int = 3, side: int = 6, suffix: str = "png", test: str = "test"
    ) -> Path:
        root = tmp_path / "tree"
        for split in ("train", test):
            for label in range(classes):
                for i in range(per_class):
                    path = root / split / f"class{label:03d}" / f"{i}.{suffix}"
                    write_image(path, side, side, seed=hash((split == "train", label, i)) % 2**32)
        return root

    return make
