"""scikit-learn's handwritten digits: real, bundled, no download."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.cache import FORMAT, CacheError, Chunk, Source, cached, in_memory
from bnrepro.data.registry import Dataset, refuse_keys, register
from bnrepro.data.resident import ResidentDataset
from bnrepro.data.subset import balanced_subset

FILE = "datasets/data/digits.csv.gz"
"""In the package `sklearn`: 64 pixels and the digit per line."""
SIDE = 8
HIGHEST = 16
"""Of the source's values."""
TEST_IMAGES = 360
"""Where `data.test_images` is null, as in configs from before there was such a key."""
SPLIT_SEED = 0
"""Of the split between training and test set, which is the same in every run."""


@register("digits")
def load_digits(config: DataConfig) -> Dataset:
    """1797 images of 8×8 pixels, 1 channel, 10 classes (Alpaydin & Kaynak 1998, the test part of UCI's set).

    The source's values 0…16 are scaled to 0…255. The source has no split: `data.test_images` images, as
    equal a number of each class as can be, are drawn for the test set once and for all. Writers are not
    kept apart, as scikit-learn's copy does not name them. Raises `UsageError` for a split that leaves a
    class without images.
    """
    refuse_keys(config, "image_size")
    path = _file()
    test_images = TEST_IMAGES if config.test_images is None else config.test_images
    status = path.stat()
    state = (FORMAT, test_images, status.st_size, status.st_mtime_ns)
    key = hashlib.sha256(f"digits/{state}".encode()).hexdigest()[:32]
    try:
        stored = cached(config, key, lambda: _read(path, test_images))
    except CacheError:  # the set that needs nothing works also where nothing can be written
        stored = in_memory(_read(path, test_images))
    return ResidentDataset("digits", stored.classes, stored.train, stored.test, stored.mean, stored.std)


def _file() -> Path:
    """Found without importing scikit-learn, which takes longer than a short training."""
    spec = find_spec("sklearn")
    path = Path(spec.origin).parent / FILE if spec is not None and spec.origin is not None else None
    if path is None or not path.is_file():
        raise UsageError(f"data=digits: scikit-learn's {FILE} is not there; reinstall scikit-learn")
    return path


def _read(path: Path, test_images: int) -> Source:
    try:
        table = np.loadtxt(gzip.decompress(path.read_bytes()).decode().splitlines(), delimiter=",")
        images, digits = table[:, :-1].reshape(-1, SIDE, SIDE, 1), table[:, -1].astype(np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise UsageError(f"data=digits: {path} cannot be read ({error}); reinstall scikit-learn") from error
    pixels = np.rint(images * (255 / HIGHEST)).astype(np.uint8)
    is_test = _split(digits, test_images)

    def side(chosen: np.ndarray) -> Iterator[Chunk]:
        yield pixels[chosen], digits[chosen]

    return Source([str(digit) for digit in np.unique(digits)], side(~is_test), side(is_test), {})


def _split(digits: np.ndarray, test_images: int) -> np.ndarray:
    """Which images are in the test set, `(N,)` bool."""
    counts = np.bincount(digits)
    most = len(counts) * (int(counts.min()) - 1)
    if not len(counts) <= test_images <= most:
        raise UsageError(
            f"data.test_images={test_images}: digits has {len(digits)} "
            f"images of {len(counts)} classes; give a number from {len(counts)} to {most}"
        )
    is_test = np.zeros(len(digits), dtype=bool)
    is_test[balanced_subset(torch.from_numpy(digits), test_images, SPLIT_SEED).numpy()] = True
    return is_test
