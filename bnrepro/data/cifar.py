"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32×32, RGB."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.cache import FORMAT, Chunk, Source, cache_folder, cached, check_budget
from bnrepro.data.decode import JPEG_SUFFIXES
from bnrepro.data.folder_tree import FolderTree, scan_tree
from bnrepro.data.image_folder import Size, load_tree
from bnrepro.data.registry import Dataset, refuse_keys, register
from bnrepro.data.resident import ResidentDataset
from bnrepro.data.stored import locked

SIDE = 32


@dataclass(frozen=True)
class Cifar:
    """One of the two sets: its names in torchvision and on its page."""

    label: str
    classes: int
    torchvision_class: str
    folder: str
    """What the archive unpacks to."""
    url: str


CIFAR10 = Cifar(
    "CIFAR-10",
    10,
    "CIFAR10",
    "cifar-10-batches-py",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
CIFAR100 = Cifar(
    "CIFAR-100",
    100,
    "CIFAR100",
    "cifar-100-python",
    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
)


@register("cifar10")
def load_cifar10(config: DataConfig) -> Dataset:
    """CIFAR-10 from torchvision's directory or an image folder, else downloaded. See `load_cifar`."""
    return load_cifar(config, CIFAR10)


@register("cifar100")
def load_cifar100(config: DataConfig) -> Dataset:
    """CIFAR-100 with its 100 fine labels. See `load_cifar`."""
    return load_cifar(config, CIFAR100)


def load_cifar(config: DataConfig, cifar: Cifar) -> Dataset:
    """`data.root` (default `<cache_dir>/data`) may be, in this order:

    torchvision's directory, or the unpacked archive itself; an image folder with as many classes and
    32×32 images, labelled "(image folder)", or "(JPEG)" where files are JPEGs, which is lossy; a folder to
    download to. Raises `UsageError` where none of it gives the data.
    """
    refuse_keys(config, "image_size", "test_images")
    root = Path(config.root).expanduser() if config.root is not None else cache_folder(config) / "data"
    parent = root.parent if root.name == cifar.folder else root
    if (parent / cifar.folder).is_dir():
        return _load_archive(config, cifar, parent)
    if (root / "train").is_dir():
        return _load_folder(config, cifar, scan_tree(root))
    _download(config, cifar, parent)
    return _load_archive(config, cifar, parent)


def _load_folder(config: DataConfig, cifar: Cifar, tree: FolderTree) -> Dataset:
    if len(tree.classes) != cifar.classes:
        raise UsageError(
            f"data.root={tree.root}: {len(tree.classes)} classes in train/, but {cifar.label} has "
            f"{cifar.classes}; use data=image_folder for other images"
        )
    is_jpeg = any(name.lower().endswith(JPEG_SUFFIXES) for name in (*tree.train.names, *tree.test.names))
    size = Size(SIDE, SIDE, f"{cifar.label}'s are", "use data=image_folder for other images")
    return load_tree(config, tree, f"{cifar.label} ({'JPEG' if is_jpeg else 'image folder'})", size)


def _load_archive(config: DataConfig, cifar: Cifar, parent: Path) -> Dataset:
    """From the pickles of the original archive, once; then from the cache."""
    folder = parent / cifar.folder
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise UsageError(f"data.root: {folder} cannot be read ({error.strerror})") from error
    key = hashlib.sha256(f"{cifar.label}/{FORMAT}/{states}".encode()).hexdigest()[:32]
    stored = cached(config, key, lambda: _open_pickles(cifar, parent))
    check_budget(config, len(stored.train) + len(stored.test), stored.train.images.shape[1:])
    return ResidentDataset(cifar.label, stored.classes, stored.train, stored.test, stored.mean, stored.std)


def _torchvision(cifar: Cifar) -> Any:
    import torchvision.datasets  # seconds to import, and only needed where the cache is empty

    return getattr(torchvision.datasets, cifar.torchvision_class)


def _open_pickles(cifar: Cifar, parent: Path) -> Source:
    try:
        with warnings.catch_warnings():
            # numpy 2.4.0 to 2.4.4 warn of the dtypes in the archive's old pickles.
            warnings.filterwarnings("ignore", message=".*align should be passed.*")
            sides = [_torchvision(cifar)(str(parent), train=train) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise UsageError(
            f"data.root: {parent / cifar.folder} is not a whole copy of {cifar.label} ({error}); "
            f"remove it to have it downloaded again, or unpack {cifar.url} there"
        ) from error

    def chunks(side: Any) -> Iterator[Chunk]:
        yield side.data, side.targets

    return Source(sides[0].classes, chunks(sides[0]), chunks(sides[1]), {})


def _download(config: DataConfig, cifar: Cifar, parent: Path) -> None:
    """Fetches and unpacks the archive, with torchvision's progress bar on stderr."""
    absent = f"data.root={parent}: no {cifar.label} there (neither {cifar.folder}/ nor train/ and test/)"
    advice = f"unpack {cifar.url} into it, or set data.root to a copy"
    if not config.download:
        raise UsageError(f"{absent} and data.download=false; {advice}, or set data.download=true")
    try:
        with locked(parent / f"{cifar.folder}.lock"), contextlib.redirect_stdout(sys.stderr):
            _torchvision(cifar)(str(parent), download=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError, a wrong checksum a RuntimeError
        raise UsageError(f"{absent}, and it cannot be downloaded ({error}); {advice}") from error
