"""A slow feed would leave rented GPUs waiting. Measured in one run, interleaved, on one core, in CPU time."""

import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import photo

from bnrepro.config.schema import DataConfig
from bnrepro.data import load_data
from bnrepro.data.streaming.colour import mirror_
from bnrepro.data.streaming.draws import stream_draws
from bnrepro.data.streaming.loader import LoaderReader
from bnrepro.data.streaming.requests import Request

FILES, CLASSES, BLOCK = 1000, 4, 100
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """1,000 files of 500×375 at quality 95, as large as ImageNet's on average (110 kB)."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(FILES):
        path = root / "train" / f"class{i % CLASSES}" / f"{i:04d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(375, 500, seed=i, grain=12).save(path, quality=95)
    for i in range(CLASSES):
        path = root / "val" / f"class{i}" / "0.JPEG"
        path.parent.mkdir(parents=True)
        photo(375, 500, seed=FILES + i, grain=12).save(path)
    return root


def bare_decoder(paths: list[Path]) -> Iterator[None]:
    """torchvision.io.decode_jpeg in a loop."""
    from torchvision.io import ImageReadMode, decode_jpeg

    for start in range(0, FILES, BLOCK):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for path in paths[start : start + BLOCK]:
                decode_jpeg(torch.from_numpy(np.fromfile(path, np.uint8)), ImageReadMode.RGB)
        yield


def pillow_transforms(root: Path) -> Iterator[None]:
    """ImageFolder with Pillow transforms: what every tutorial has."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, Normalize, RandomHorizontalFlip, RandomResizedCrop, ToTensor

    normalize = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    folder = ImageFolder(
        root / "train", Compose([RandomResizedCrop(224), RandomHorizontalFlip(), ToTensor(), normalize])
    )
    for start in range(0, FILES, BLOCK):
        for i in range(start, start + BLOCK):
            folder[i]
        yield


def our_reader(dataset, config: DataConfig) -> Iterator[None]:
    """What the loader processes do, and the flip."""
    reader = LoaderReader({"train": dataset.train}, config, CPU)
    draws = stream_draws(0, 0, FILES, "train")
    uniform = draws.uniform(np.arange(FILES))
    request = Request("train", draws.order.numpy(), uniform)
    done = 0
    for unit, pixels in zip(request.units(), reader.images(request.units()), strict=True):
        mirror_(pixels, unit.uniform)
        done += len(pixels)
        while done >= BLOCK:
            done -= BLOCK
            yield


def rates(candidates: dict[str, Callable[[], Iterator[None]]]) -> dict[str, float]:
    """Images per second of CPU time, block after block of each in turn; the first warms up, and imports.

    The median block's: another process in the cache slows some of them down.
    """
    running = {name: make() for name, make in candidates.items()}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(FILES // BLOCK):
        for name, blocks in running.items():
            start = time.process_time()
            next(blocks)
            seconds[name].append(time.process_time() - start)
    return {name: BLOCK / statistics.median(blocks[1:]) for name, blocks in seconds.items()}


@pytest.mark.slow
def test_the_torch_feed_is_bound_by_decoding(photos, stream_config, record_property):
    config = stream_config(photos, crop_size=224, resize_size=256)
    dataset = load_data(config)
    paths = sorted((photos / "train").glob("*/*"))
    torch.set_num_threads(1)
    found = rates(
        {
            "bare decoder": lambda: bare_decoder(paths),
            "torch feed": lambda: our_reader(dataset, config),
            "Pillow transforms": lambda: pillow_transforms(photos),
        }
    )
    record_property("images per second and core", json.dumps({k: round(v) for k, v in found.items()}))
    print(found)
    # The goals are 0.65 and 1.7. Measured on a busy machine (Pillow 13): 0.75 to 0.78, and 1.80. Another
    # Pillow may be faster, and noise must not decide whether tests pass: hence 1.5.
    assert found["torch feed"] >= 0.65 * found["bare decoder"], found
    assert found["torch feed"] >= 1.5 * found["Pillow transforms"], found
