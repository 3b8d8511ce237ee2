"""What a user with a folder that is not quite right is told, and that a million files are listed once."""

import os
import shutil
from pathlib import Path

import pytest

from bnrepro.config.errors import UsageError
from bnrepro.data.streaming import listing as module
from bnrepro.data.streaming.listing import list_images
from bnrepro.data.streaming.names import FileNames


@pytest.fixture
def root(write_tree):
    return write_tree()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def refused(root: Path, cache: Path) -> str:
    with pytest.raises(UsageError) as error:
        list_images(root, cache)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_files_and_labels_in_order(root, cache):
    found = list_images(root, cache)
    assert found.classes == ("n00000001", "n00000002")
    assert list(found.train.names) == [f"train/{c}/{i}.JPEG" for c in found.classes for i in range(4)]
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4
    assert found.test.labels.tolist() == [0] * 3 + [1] * 3


def test_an_unchanged_tree_is_not_listed_again_and_a_changed_one_is(root, cache, monkeypatch):
    """On network disks listing ImageNet takes minutes."""
    list_images(root, cache)
    scans = []
    scan = module._scan
    monkeypatch.setattr(module, "_scan", lambda root: scans.append(root) or scan(root))
    list_images(root, cache)
    assert not scans
    shutil.copy(root / "train/n00000001/0.JPEG", root / "train/n00000001/9.JPEG")
    assert "train/n00000001/9.JPEG" in list(list_images(root, cache).train.names)
    assert len(scans) == 1


def test_a_class_missing_in_val_is_named_with_both_counts(root, cache):
    shutil.rmtree(root / "val/n00000002")
    message = refused(root, cache)
    assert "val/n00000002 is missing" in message
    assert "train/ has 2, val/ has 1" in message


def test_an_empty_class_folder_is_named(root, cache):
    shutil.rmtree(root / "train/n00000002")
    (root / "train/n00000002").mkdir()
    assert "train/n00000002 holds no image" in refused(root, cache)


def test_a_file_that_is_not_an_image_is_named(root, cache):
    """Left out silently, nobody would know which images were trained on."""
    (root / "val/n00000001/readme.txt").write_text("x")
    assert "val/n00000001/readme.txt is not a readable image (cannot identify" in refused(root, cache)


def test_an_image_is_one_whatever_it_is_called(root, cache):
    """`image_folder` reads it too."""
    shutil.copy(root / "val/n00000001/0.JPEG", root / "val/n00000001/0_copy")
    assert len(list_images(root, cache).test) == 7


def test_hidden_files_are_no_part_of_the_set(root, cache):
    (root / "val/n00000001/.DS_Store").write_text("x")
    assert len(list_images(root, cache).test) == 6


@pytest.mark.parametrize("missing", ["train", "val", ""])
def test_missing_folders_are_named(root, cache, missing):
    shutil.rmtree(root / missing)
    assert str(root) in refused(root, cache)


@pytest.mark.parametrize("side", ["train", "val"])
def test_an_empty_side_is_named(root, cache, side):
    shutil.rmtree(root / side)
    (root / side).mkdir()
    assert f"{root / side} holds no class folder" in refused(root, cache)


@pytest.mark.parametrize("side", ["train", "val"])
def test_a_side_without_permission_is_named(root, cache, monkeypatch, side):
    """Simulated, as root may read everything: so asks a folder above it that may not be entered."""
    is_dir = Path.is_dir

    def denied(path):
        if path == root / side:
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", denied)
    assert f"{root / side} cannot be read (Permission denied)" in refused(root, cache)


def test_a_folder_without_permission_is_named(root, cache, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("n00000002"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    message = refused(root, cache)
    assert "n00000002" in message
    assert "Permission denied" in message


def test_an_unwritable_cache_is_named(root, tmp_path):
    (tmp_path / "file").write_text("")
    assert "data.cache_dir" in refused(root, tmp_path / "file")


def test_names_survive_as_arrays_whatever_they_are_called(tmp_path):
    names = ["train/ä/ß.jpg", "train/b/" + "x" * 300, "train/c/\udcff.jpg", ""]
    FileNames.of(names).save(tmp_path, "n")
    loaded = FileNames.load(tmp_path, "n")
    assert list(loaded) == names
    assert list(loaded[1:3]) == names[1:3]
