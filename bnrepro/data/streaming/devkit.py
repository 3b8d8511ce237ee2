"""Labels of ImageNet's validation images where they lie in one folder, as the archive unpacks them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.data.folder_tree import is_litter, refuse

DEVKIT = "ILSVRC2012_devkit_t12/data"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
SYNSETS = "meta.mat"
NAME = re.compile(r".*/ILSVRC2012_val_(\d{8})\.JPEG")


def is_flat(folder: Path) -> bool:
    """Images and no class folders?"""
    try:
        entries = [entry for entry in folder.iterdir() if not is_litter(entry.name)]
    except OSError as error:
        raise refuse(folder, f"cannot be read ({error.strerror})") from error
    return bool(entries) and not any(entry.is_dir() for entry in entries)


def flat_labels(root: Path, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The index in `classes` (WordNet ids) of each of `names`: `val/ILSVRC2012_val_00000001.JPEG`.

    From the devkit, unpacked in the root: `ILSVRC2012_validation_ground_truth.txt` has an ILSVRC2012_ID per
    image, and `meta.mat` the WordNet id of each. Raises `UsageError` where it is missing or does not fit.
    """
    truth = _ground_truth(root)
    wordnet = _wordnet_ids(root)
    index = {name: i for i, name in enumerate(classes)}
    labels = []
    for name in names:
        match = NAME.fullmatch(name)
        if match is None or not 1 <= int(match.group(1)) <= len(truth):
            raise refuse(root / name, f"is none of the {len(truth)} images that the devkit has labels for")
        class_name = wordnet.get(truth[int(match.group(1)) - 1])
        if class_name not in index:
            raise refuse(root / "train" / str(class_name), f"is missing: it is the class of {name}")
        labels.append(index[class_name])
    if missing := sorted(set(range(len(classes))) - set(labels)):
        raise refuse(root, f"has no evaluation image of the class {classes[missing[0]]}")
    return labels


def _ground_truth(root: Path) -> list[int]:
    path = root / DEVKIT / GROUND_TRUTH
    try:
        return [int(line) for line in path.read_text().split()]
    except (OSError, ValueError) as error:
        raise _no_devkit(path, error) from error


def _wordnet_ids(root: Path) -> dict[int, str]:
    from scipy.io import loadmat

    path = root / DEVKIT / SYNSETS
    try:
        synsets = loadmat(path, squeeze_me=True)["synsets"]
        return {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_devkit(path, error) from error


def _no_devkit(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"data.root: val/ has no class folders, and {path} cannot be read ({error}); unpack "
        "ILSVRC2012_devkit_t12.tar.gz into data.root, or sort val/ into class folders"
    )
