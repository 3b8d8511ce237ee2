"""Data sets of the user's own: what a factory outside of the package returns.

The factory is called with the options of its YAML, and returns one of

- a `bnrepro.data.Dataset`;
- two of torch's data sets of (image, label) pairs (see `Items`): training and test;
- one of them, if it takes the argument `train`, as torchvision's classes do: it is called twice.

It gets `data.root` and `data.download` where it takes `root` and `download`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bnrepro.config.convert import check_accepted, check_arguments
from bnrepro.config.errors import UsageError, one_line
from bnrepro.config.reference import content_hashes, load_reference
from bnrepro.config.schema import DataConfig
from bnrepro.data.cache import FORMAT, Chunk, Source, cached, check_budget
from bnrepro.data.decode import progress_line
from bnrepro.data.items import Item, Items, Unreadable, in_a_line
from bnrepro.data.registry import DATA, OWN, Dataset, refuse_keys, register
from bnrepro.data.resident import ResidentDataset
from bnrepro.data.streaming.dataset import MEAN, STD, StreamedDataset
from bnrepro.data.streaming.item_split import item_split

PROGRAM = ("root", "download", "train")
"""Arguments of a factory that are not options of its YAML."""
SAMPLED = 32
"""Images of each side that a cache is recognized by."""
BLOCK = 256
"""Images that are written to the cache at once."""


@register(OWN)
def load_own(config: DataConfig) -> Dataset:
    """What `data.factory` returns: decoded once into the cache, or read while training (`data.stream`).

    Raises `UsageError` naming the image for whatever cannot be used.
    """
    if config.factory is None:
        raise UsageError("data.factory=null: data=own needs one, as data.factory=my_data.py:make")
    if config.name != OWN and config.name in DATA:  # its label would be on the user's images
        raise UsageError(f"data.factory={config.factory}: is on top of data={config.name}; give data=own")
    made = _made(config)
    if isinstance(made, Dataset):
        return made
    refuse_keys(config, "test_images")
    train, test = (Items(found, side, config) for found, side in zip(made, ("train", "test"), strict=True))
    if config.stream is not None:
        sides = item_split(train), item_split(test)
        highest = max(int(side.labels.max()) for side in sides)
        return StreamedDataset(_label(config), _classes(train, highest), *sides, MEAN, STD)
    stored = cached(config, _key(config, (train, test)), lambda: _Reader(config, train, test).source())
    if stored.same_images:
        raise UsageError(f"{train.where}: training and test images are the same; evaluate on other images")
    if stored.skipped and not config.skip_corrupt:
        raise _corrupt(train, *next(iter(stored.skipped.items())))
    check_budget(config, len(stored.train) + len(stored.test), stored.train.images.shape[1:])
    return ResidentDataset(
        _label(config),
        stored.classes,
        stored.train,
        stored.test,
        stored.mean,
        stored.std,
        tuple(stored.skipped),
    )


def _label(config: DataConfig) -> str:
    """The name of its YAML; without one of its own, the factory's."""
    assert config.factory is not None
    return config.name if config.name != OWN else Path(config.factory).name.replace(".py:", ".")


def _made(config: DataConfig) -> Any:
    """A `Dataset`, or the training and the test set. Raises `UsageError`."""
    assert config.factory is not None
    make = load_reference("data.factory", config.factory)
    options = dict(config.options or {})
    check_accepted("data", make, options, PROGRAM)
    check_arguments("data", make, options)
    parameters = inspect.signature(make).parameters
    if "root" in parameters and config.root is not None:
        options["root"] = str(Path(config.root).expanduser())
    if "download" in parameters:
        options["download"] = config.download
    if "train" in parameters:
        return [_call(config, make, {**options, "train": train}) for train in (True, False)]
    made = _call(config, make, options)
    if isinstance(made, Dataset) or (isinstance(made, tuple | list) and len(made) == 2):
        return made
    raise UsageError(
        f"data.factory={config.factory}: returns a {type(made).__name__}; return (training set, test set) "
        "or a bnrepro.data.Dataset, or take the argument train=True or False"
    )


def _call(config: DataConfig, make: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return make(**arguments)
    except UsageError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"data.factory={config.factory}: {in_a_line(error)}") from error


def _key(config: DataConfig, sides: Sequence[Items]) -> str:
    """Changes with the factory's file, its options, and some of the images: not with every one of them."""
    hashes = content_hashes(SimpleNamespace(data=config))
    parts = (*hashes.values(), config.factory if not hashes else "", config.options, config.root)
    text = json.dumps([FORMAT, config.image_size, *parts], sort_keys=True, default=str)
    digest = hashlib.sha256(f"own/{text}".encode())
    for items in sides:
        for index, item in _sample(items):
            digest.update(f"{items.count}/{index}/".encode())
            digest.update(_bytes(item))
    return digest.hexdigest()[:32]


def _sample(items: Items) -> Iterator[tuple[int, Item | Unreadable]]:
    """Some items. Raises `UsageError` where the first one is another when it is asked for again."""
    if not items.by_index:
        yield from enumerate(islice(items, SAMPLED))
        return
    count = len(items.dataset)
    if not count:
        raise UsageError(f"{items.where}: the {items.side} set is empty")
    indices = sorted({int(i) for i in np.linspace(0, count - 1, SAMPLED)})
    for index in indices:
        item = _tried(items, index)
        if index == 0 and _bytes(item) != _bytes(_tried(items, index)):
            raise UsageError(
                f"{items.where}: {items.name(0)} is another each time it is asked for; leave random "
                "transforms out, bnrepro has its own (data.augment)"
            )
        yield index, item


def _tried(items: Items, index: int) -> Item | Unreadable:
    try:
        return items.read(index)
    except Unreadable as error:
        return error


def _bytes(item: Item | Unreadable) -> bytes:
    if isinstance(item, Unreadable):
        return b"unreadable"
    pixels, label = item
    return f"{pixels.shape}{label}".encode() + np.ascontiguousarray(pixels).tobytes()


def _classes(train: Items, highest: int) -> tuple[str, ...]:
    """Their names, where the training set has them as torchvision's do. Raises `UsageError` for too few."""
    dataset = train.dataset
    while not hasattr(dataset, "classes") and hasattr(dataset, "dataset"):  # torch's Subset
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    if names is None:
        return tuple(map(str, range(highest + 1)))
    if len(names) <= highest:
        raise UsageError(f"{train.where}: has {len(names)} classes and the label {highest}")
    return tuple(one_line(str(name)) for name in names)


def _corrupt(items: Items, name: str, reason: str) -> UsageError:
    return UsageError(
        f"{items.where}: {name} cannot be read ({reason}); repair it, or set data.skip_corrupt=true"
    )


class _Reader:
    """Reads both sides once, in blocks, and checks every image."""

    def __init__(self, config: DataConfig, train: Items, test: Items) -> None:
        self.config = config
        self.train, self.test = train, test
        self.shape: tuple[int, ...] | None = None
        self.highest = -1
        self.classes: list[str] = []
        self.skipped: dict[str, str] = {}

    def source(self) -> Source:
        return Source(self.classes, self._train(), self._chunks(self.test), self.skipped)

    def _train(self) -> Iterator[Chunk]:
        yield from self._chunks(self.train)
        self.classes += _classes(self.train, self.highest)

    def _chunks(self, items: Items) -> Iterator[Chunk]:
        pixels: list[np.ndarray] = []
        labels: list[int] = []
        with progress_line(f"Reading the {items.side} images", items.count) as advance:
            for index, item in enumerate(items):
                advance(1)
                if isinstance(item, Unreadable):
                    self._skip(items, items.name(index), str(item))
                    continue
                self._check(items, index, *item)
                pixels.append(item[0])
                labels.append(item[1])
                if len(pixels) == BLOCK:
                    yield np.stack(pixels), labels
                    pixels, labels = [], []
        if pixels:
            yield np.stack(pixels), labels

    def _skip(self, items: Items, name: str, reason: str) -> None:
        if not self.config.skip_corrupt:
            raise _corrupt(items, name, reason)
        self.skipped[name] = one_line(reason)

    def _check(self, items: Items, index: int, pixels: np.ndarray, label: int) -> None:
        if self.shape is None:
            self.shape = pixels.shape
            check_budget(self.config, (self.train.count or 0) + (self.test.count or 0), pixels.shape)
        if pixels.shape != self.shape:
            shapes = ("x".join(map(str, shape)) for shape in (pixels.shape, self.shape))
            raise UsageError(
                f"{items.where}: {items.name(index)} is {next(shapes)} (height x width x channels), but "
                f"{self.train.name(0)} is {next(shapes)}; set data.image_size, or bring all to one size"
            )
        if items is self.test and label >= len(self.classes):
            raise UsageError(f"{items.where}: {items.name(index)} is of class {label}, no training image is")
        self.highest = max(self.highest, label)
