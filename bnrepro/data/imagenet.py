"""ImageNet, and any other folder of images, read while training."""

from __future__ import annotations

import re
from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.cache import cache_folder
from bnrepro.data.registry import Dataset, refuse_keys, register
from bnrepro.data.streaming.dataset import MEAN, STD, StreamedDataset
from bnrepro.data.streaming.listing import Listing, list_images
from bnrepro.data.streaming.prepare import read_mark

WORDNET_ID = re.compile(r"n\d{8}")
CLASSES = 1000


@register("imagenet")
def load_imagenet(config: DataConfig) -> Dataset:
    """ILSVRC 2012 (Russakovsky et al. 2015): 1,281,167 training and 50,000 validation images, 1000 classes.

    `data.root`: `train/<WordNet id>/*.JPEG` with `val/<WordNet id>/*.JPEG`, or with a flat `val/` and the
    devkit (`ILSVRC2012_devkit_t12/`) beside it. Fewer classes are named as such. Raises `UsageError` naming
    the file or folder that is wrong.
    """
    listing = _listing(config)
    if other := [name for name in listing.classes if not WORDNET_ID.fullmatch(name)]:
        raise UsageError(
            f"data.root: {listing.train.root}/train/{other[0]} is not a WordNet id, as n01440764; use "
            "data=image_stream for other images"
        )
    count = len(listing.classes)
    return _dataset(listing, "ImageNet" if count == CLASSES else f"ImageNet ({count} classes)")


@register("image_stream")
def load_image_stream(config: DataConfig) -> Dataset:
    """Any `train/<class>/` with `val/<class>/` or `test/<class>/` of images, of any sizes.

    Normalized as ImageNet is. Raises `UsageError` naming the file or folder that is wrong.
    """
    listing = _listing(config)
    return _dataset(listing, f"{listing.train.root.resolve().name} (image folder, streamed)")


def _listing(config: DataConfig) -> Listing:
    refuse_keys(config, "image_size", "test_images")
    if config.stream is None:
        raise UsageError(f"data.stream=null: {config.name} is read while training; see its YAML for the keys")
    if config.skip_corrupt:
        raise UsageError(
            f"data.skip_corrupt=true: {config.name} is not decoded before training, so nothing can be left "
            "out; `bnrepro data prepare` finds broken files"
        )
    if config.root is None:
        raise UsageError(f"data.root=null: {config.name} needs the folder that holds train/ and val/")
    root = Path(config.root).expanduser()
    read_mark(root)  # refuses an unfinished copy, before its missing files are found one by one
    return list_images(root, cache_folder(config))


def _dataset(listing: Listing, name: str) -> Dataset:
    if copy := read_mark(listing.train.root):
        name = f"{name}, resized to {copy['size']}"
    return StreamedDataset(name, listing.classes, listing.train, listing.test, MEAN, STD)
