"""ImageNet's validation images as the archive unpacks them: wrong labels would be a wrong figure."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from bnrepro.config.errors import UsageError
from bnrepro.data.streaming.listing import list_images

IDS = {1: "n00000002", 2: "n00000001"}
TRUTH = [2, 1, 2]


@pytest.fixture
def root(write_tree):
    root = write_tree()
    files = sorted((root / "val").glob("*/*"))
    for i in range(len(TRUTH)):
        shutil.move(files[i], root / "val" / f"ILSVRC2012_val_{i + 1:08d}.JPEG")
    for folder in IDS.values():
        shutil.rmtree(root / "val" / folder)
    devkit = root / "ILSVRC2012_devkit_t12" / "data"
    devkit.mkdir(parents=True)
    truth = "".join(f"{number}\n" for number in TRUTH)
    (devkit / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    synsets = np.array(list(IDS.items()), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    savemat(devkit / "meta.mat", {"synsets": synsets})
    return root


def test_labels_come_from_the_devkit(root, tmp_path):
    assert list_images(root, tmp_path / "cache").test.labels.tolist() == [0, 1, 0]


def test_an_image_without_a_label_is_named(root, tmp_path):
    shutil.copy(root / "val/ILSVRC2012_val_00000001.JPEG", root / "val/ILSVRC2012_val_00000004.JPEG")
    with pytest.raises(UsageError, match=r"ILSVRC2012_val_00000004.JPEG is none of the 3 images"):
        list_images(root, tmp_path / "cache")


def test_a_missing_devkit_is_explained(root, tmp_path):
    shutil.rmtree(root / "ILSVRC2012_devkit_t12")
    with pytest.raises(UsageError, match=r"unpack ILSVRC2012_devkit_t12.tar.gz into data.root"):
        list_images(root, tmp_path / "cache")


def test_a_class_without_evaluation_images_is_named(root, tmp_path):
    shutil.copytree(root / "train/n00000001", root / "train/n00000003")
    with pytest.raises(UsageError, match="no evaluation image of the class n00000003"):
        list_images(root, tmp_path / "cache")
