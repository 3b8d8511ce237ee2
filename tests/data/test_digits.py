"""The default data set."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from bnrepro.config.errors import UsageError
from bnrepro.data import load_data


def test_all_images_with_their_labels_and_a_stratified_split(data_config):
    dataset = load_data(data_config("digits"))
    assert (dataset.name, dataset.classes) == ("digits", tuple("0123456789"))
    assert dataset.train.images.shape == (1437, 8, 8, 1)
    assert dataset.test.images.shape == (360, 8, 8, 1)
    assert dataset.train.images.dtype == torch.uint8
    assert torch.bincount(dataset.test.labels).tolist() == [36] * 10

    have = sorted(rows(dataset.train) + rows(dataset.test))
    source = load_digits()
    want = np.rint(source.images * (255 / 16)).astype(int).reshape(-1, 64).tolist()
    assert have == sorted(
        (*pixels, label) for pixels, label in zip(want, source.target.tolist(), strict=True)
    )


def rows(split) -> list[tuple[int, ...]]:
    """Each image's pixels and label."""
    pixels = split.images.reshape(len(split), -1).tolist()
    return [(*row, label) for row, label in zip(pixels, split.labels.tolist(), strict=True)]


def test_values_fill_the_byte(data_config):
    images = load_data(data_config("digits")).train.images
    assert (int(images.min()), int(images.max())) == (0, 255)
    assert torch.equal(images[images > 0].min(), torch.tensor(16, dtype=torch.uint8))  # 255/16, rounded


def test_split_is_the_same_in_every_run(data_config):
    """A split that moved would make every committed number wrong. The sum was taken when it was fixed."""
    dataset = load_data(data_config("digits"))
    weights = torch.arange(1, 361)
    assert int((dataset.test.images.long().sum((1, 2, 3)) * weights).sum()) == 324_888_182
    assert dataset.mean == (0.30492558366422423,)
    assert dataset.std == (0.3757121891486479,)


def test_another_split_is_balanced_and_loses_no_image(data_config):
    """1,024 training images: none is dropped at any power of two."""
    dataset = load_data(data_config("digits", test_images=773))
    assert (len(dataset.train), len(dataset.test)) == (1024, 773)
    assert set(torch.bincount(dataset.test.labels).tolist()) == {77, 78}
    usual = load_data(data_config("digits", test_images=360))
    assert sorted(rows(dataset.train) + rows(dataset.test)) == sorted(rows(usual.train) + rows(usual.test))


def test_configs_from_before_the_split_was_a_key_mean_the_same_images(data_config):
    """A sweep that waits in Slurm's queue has none."""
    usual, before = (load_data(data_config("digits", test_images=number)) for number in (360, None))
    assert torch.equal(usual.test.images, before.test.images)


@pytest.mark.parametrize("number", [9, 1731])
def test_a_split_without_images_of_a_class_is_refused(data_config, number):
    with pytest.raises(UsageError, match=rf"data.test_images={number}: .* from 10 to 1730"):
        load_data(data_config("digits", test_images=number))


@pytest.mark.parametrize("name", ["cifar10", "image_folder", "image_stream"])
def test_a_split_is_refused_where_the_source_has_one(data_config, name):
    with pytest.raises(UsageError, match=rf"data.test_images=100: {name} comes with its own test set"):
        load_data(data_config(name, test_images=100, root="/nowhere"))


def test_no_folder_to_write_to_is_needed(data_config, tmp_path):
    """The set that needs no download is what a container with a read-only home can train on."""
    stored = load_data(data_config("digits"))
    load_data.cache_clear()
    (tmp_path / "file").write_text("")
    dataset = load_data(data_config("digits", cache_dir=str(tmp_path / "file" / "cache")))
    assert torch.equal(dataset.train.images, stored.train.images)
    assert torch.equal(dataset.test.labels, stored.test.labels)
    assert (dataset.mean, dataset.std, dataset.classes) == (stored.mean, stored.std, stored.classes)


def test_they_are_read_without_what_takes_seconds_to_import(tmp_path):
    """scikit-learn and torchvision each take as long to import as a short run trains."""
    code = (
        "import sys; from bnrepro.config.compose import compose_config; from bnrepro.data import load_data; "
        f"load_data(compose_config(['data.cache_dir={tmp_path}']).data); "
        "print([name for name in ('sklearn', 'scipy', 'torchvision') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_another_size_is_refused(data_config):
    with pytest.raises(UsageError, match=r"data.image_size=16: .*digits"):
        load_data(data_config("digits", image_size=16))
