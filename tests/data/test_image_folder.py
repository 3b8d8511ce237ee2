"""Trees of images: what is read, what is refused, and when it is decoded again."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from bnrepro.config.errors import UsageError
from bnrepro.data import decode, load_data


@pytest.fixture
def load(data_config):
    """Loads `root` as a new process would."""

    def load(root, **changes):
        load_data.cache_clear()
        return load_data(data_config("image_folder", root=str(root), **changes))

    return load


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded so far."""
    seen = []
    original = decode.decode_image

    def record(path, *options):
        seen.append(path.name)
        return original(path, *options)

    monkeypatch.setattr(decode, "decode_image", record)
    return seen


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("data.")
    return text


@pytest.mark.parametrize("test", ["val", "test"])
def test_images_labels_and_classes_are_those_of_the_tree(make_tree, load, test):
    root = make_tree(classes=3, per_class=4, test=test)
    dataset = load(root)
    assert dataset.name == "tree (image folder)"
    assert dataset.classes == ("class000", "class001", "class002")
    assert dataset.skipped == ()
    for split, folder in ((dataset.train, "train"), (dataset.test, test)):
        assert split.images.shape == (12, 6, 6, 3)
        assert split.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        for i, image in enumerate(split.images):
            with Image.open(root / folder / f"class{i // 4:03d}" / f"{i % 4}.png") as file:
                assert np.array_equal(np.asarray(file), image.numpy())
    pixels = dataset.train.images.double().view(-1, 3) / 255
    assert dataset.mean == pytest.approx(pixels.mean(0).tolist())
    assert dataset.std == pytest.approx(pixels.std(0, correction=0).tolist())


def test_val_is_taken_where_test_is_there_too(make_tree, load, write_image):
    """ImageNet's test/ has no labels."""
    root = make_tree(test="val")
    write_image(root / "test" / "unlabelled" / "0.png")
    assert len(load(root).test) == 6


def test_dot_files_and_nested_folders(make_tree, load, write_image):
    root = make_tree()
    (root / "train" / "class000" / ".DS_Store").write_bytes(b"\0")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    write_image(root / "train" / "class001" / "more" / "0.png")
    dataset = load(root)
    assert len(dataset.train) == 7
    assert len(dataset.classes) == 2


def test_unchanged_files_are_decoded_once(make_tree, load, decoded):
    root = make_tree()
    first = load(root)
    count = len(decoded)
    second = load(root)
    assert count == 12
    assert len(decoded) == count
    assert torch.equal(first.train.images, second.train.images)
    assert (first.mean, first.std, first.classes) == (second.mean, second.std, second.classes)


def test_a_moved_tree_is_known(make_tree, load, decoded, tmp_path):
    root = make_tree()
    load(root)
    count = len(decoded)
    root.rename(tmp_path / "elsewhere")
    assert len(load(tmp_path / "elsewhere").train) == 6
    assert len(decoded) == count


def test_cache_notices_a_changed_an_added_and_a_removed_file(make_tree, load, write_image):
    """Else a repaired data set would go on giving the old numbers."""
    root = make_tree()
    before = load(root).train.images.clone()
    changed = write_image(root / "train" / "class000" / "0.png", seed=99)
    after = load(root)
    assert np.array_equal(after.train.images[0].numpy(), changed)
    assert torch.equal(after.train.images[1:], before[1:])
    write_image(root / "train" / "class000" / "9.png", seed=98)
    assert len(load(root).train) == 7
    (root / "test" / "class001" / "0.png").unlink()
    assert len(load(root).test) == 5


def test_cache_notices_a_file_of_the_same_size_and_another_time(make_tree, load, decoded):
    root = make_tree()
    load(root)
    count = len(decoded)
    os.utime(root / "train" / "class000" / "0.png", ns=(1, 1))
    assert len(load(root).train) == 6
    assert len(decoded) == 2 * count


def test_mixed_sizes_name_two_files_and_the_way_out(make_tree, load, write_image):
    root = make_tree()
    write_image(root / "train" / "class001" / "0.png", height=5, width=7)
    with pytest.raises(UsageError) as error:
        load(root)
    text = one_line(error)
    assert "class001/0.png is 5x7" in text
    assert "class000/0.png is 6x6" in text
    assert "data.image_size" in text
    assert load(root, image_size=4).train.images.shape == (6, 4, 4, 3)


def test_size_is_part_of_the_cache_key(make_tree, load):
    root = make_tree()
    assert load(root, image_size=4).train.images.shape[1:3] == (4, 4)
    assert load(root, image_size=3).train.images.shape[1:3] == (3, 3)


def break_files(root):
    (root / "train" / "class000" / "1.png").write_text("text")
    truncated = root / "test" / "class001" / "0.png"
    truncated.write_bytes(truncated.read_bytes()[:70])


def test_corrupt_file_is_an_error_that_names_it(make_tree, load):
    root = make_tree()
    break_files(root)
    with pytest.raises(
        UsageError, match=r"class000/1.png is not a readable image .*data.skip_corrupt=true"
    ) as error:
        load(root)
    assert one_line(error)


def test_skipped_files_are_named_and_labels_stay_right(make_tree, load):
    root = make_tree()
    whole = load(root)
    break_files(root)
    for _ in range(2):  # decoded, then from the cache
        dataset = load(root, skip_corrupt=True)
        assert dataset.skipped == ("train/class000/1.png", "test/class001/0.png")
        kept = [0, 2, 3, 4, 5]
        assert torch.equal(dataset.train.images, whole.train.images[kept])
        assert torch.equal(dataset.train.labels, whole.train.labels[kept])
        assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1]


def test_cache_with_skipped_files_does_not_hide_them(make_tree, load):
    """skip_corrupt=true once must not make a later run without it silently smaller."""
    root = make_tree()
    break_files(root)
    load(root, skip_corrupt=True)
    with pytest.raises(UsageError, match=r"class000/1.png is not a readable image"):
        load(root)
    assert len(load(root, skip_corrupt=True).skipped) == 2


def test_class_without_a_readable_image_is_refused(make_tree, load):
    root = make_tree(per_class=1)
    (root / "train" / "class001" / "0.png").write_text("text")
    with pytest.raises(UsageError, match=r"no file in .*train/class001 is a readable image"):
        load(root, skip_corrupt=True)


def test_dangling_link_is_named(make_tree, load):
    root = make_tree()
    (root / "train" / "class000" / "9.png").symlink_to(root / "nowhere.png")
    with pytest.raises(UsageError, match=r"class000/9.png is not a readable image"):
        load(root)


@pytest.mark.parametrize("side", ["train", "test"])
def test_class_missing_on_one_side_is_named(make_tree, load, side, write_image):
    root = make_tree()
    other = {"train": "test", "test": "train"}[side]
    write_image(root / other / "zebra" / "0.png")
    with pytest.raises(UsageError, match=rf"{side}/zebra is missing"):
        load(root)


def test_what_is_no_image_folder_is_named(make_tree, load, tmp_path):
    with pytest.raises(UsageError, match=r"nowhere is not a folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty has no train/"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "train").mkdir()
    with pytest.raises(UsageError, match=r"neither val/ nor test/"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "val").mkdir()
    with pytest.raises(UsageError, match=r"empty/train holds no class folder"):
        load(tmp_path / "empty")
    root = make_tree()
    (root / "train" / "hollow").mkdir()
    (root / "test" / "hollow").mkdir()
    with pytest.raises(UsageError, match=r"test/hollow holds no image") as error:
        load(root)
    assert one_line(error)


def test_root_has_to_be_given(data_config):
    with pytest.raises(UsageError, match=r"data.root=null: .*train/"):
        load_data(data_config("image_folder"))


def test_folder_without_permission_is_named(make_tree, load, monkeypatch):
    """Through a failing scandir, since root may read everything."""
    root = make_tree()

    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("class000"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"test/class000 cannot be read \(Permission denied\)"):
        load(root)


@pytest.mark.parametrize("image_size", [None, 512])
def test_sets_beyond_the_memory_budget_are_refused_with_their_size(make_tree, load, image_size, decoded):
    root = make_tree(side=6)
    with pytest.raises(UsageError, match=r"data.memory_budget_gb=1e-07: the 12 decoded images .* GiB"):
        load(root, memory_budget_gb=1e-7, image_size=image_size)
    assert image_size is None or not decoded
    assert len(load(root).train) == 6
    with pytest.raises(UsageError, match=r"data.memory_budget_gb"):  # also from the cache
        load(root, memory_budget_gb=1e-7)


def test_error_leaves_nothing_half_written(make_tree, load, tmp_path):
    root = make_tree()
    break_files(root)
    with pytest.raises(UsageError):
        load(root)
    left = [path for path in (tmp_path / "cache" / "decoded").iterdir() if path.suffix != ".lock"]
    assert left == []


def test_tree_is_scanned_without_importing_torchvision(make_tree, data_config):
    """It takes seconds to import, in every worker of a sweep."""
    root = make_tree()
    code = (
        "import sys; from pathlib import Path; import bnrepro.data; "
        "from bnrepro.data.folder_tree import scan_tree; "
        f"scan_tree(Path({str(root)!r})); print('torchvision' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
