"""Small trees of JPEGs of several sizes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from photos import photo

from bnrepro.config.compose import compose_config
from bnrepro.config.schema import DataConfig
from bnrepro.data import load_data


@pytest.fixture
def write_tree(tmp_path: Path) -> Callable[..., Path]:
    """`write_tree(classes)`: train/ with 4 and val/ with 3 JPEGs per class."""

    def write(classes: tuple[str, ...] = ("n00000001", "n00000002"), side: int = 48) -> Path:
        root = tmp_path / "photos"
        for folder, count in (("train", 4), ("val", 3)):
            for label, name in enumerate(classes):
                for i in range(count):
                    path = root / folder / name / f"{i}.JPEG"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    seed = 100 * label + 10 * i + (folder == "val")
                    photo(side + 8 * i, side + 5 * label, seed).save(path, quality=95)
        return root

    return write


@pytest.fixture
def stream_config(tmp_path: Path) -> Iterator[Callable[..., DataConfig]]:
    """`stream_config(root, **changes)`: image_stream's config, small crops, no loader processes."""
    load_data.cache_clear()

    def make(
        root: Path, *, name: str = "image_stream", augment: str = "crop_flip", **stream: object
    ) -> DataConfig:
        config = compose_config([f"data={name}"]).data
        config = replace(config, root=str(root), cache_dir=str(tmp_path / "cache"), augment=augment)
        assert config.stream is not None
        small = {"workers": 0, "crop_size": 16, "resize_size": 20, **stream}
        return replace(config, stream=replace(config.stream, **small))

    yield make
    load_data.cache_clear()
