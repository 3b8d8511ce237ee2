"""CIFAR-10 and CIFAR-100 from the original archive, from a folder, and from nowhere."""

import hashlib
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from bnrepro.config.errors import UsageError
from bnrepro.data import cifar, load_data

JPEG_ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "cifar10_jpeg_test.npz"


def write_pickles(parent: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, np.ndarray]:
    """A small copy in the original's form; torchvision is told its checksums. Returns images and labels."""
    import torchvision.datasets

    original = getattr(torchvision.datasets, {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}[name])
    classes = {"cifar10": 10, "cifar100": 100}[name]
    label_key = {"cifar10": "labels", "cifar100": "fine_labels"}[name]
    folder = parent / original.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(file: str, content: object) -> list[str]:
        # Python 2's numpy wrote the flags of a dtype as 0 and 1, of which numpy 2.4.0 to 2.4.4 warn.
        pickled = pickle.dumps(content, protocol=2).replace(b"\x89\x88\x87", b"K\x00K\x01\x87")
        (folder / file).write_bytes(pickled)
        return [file, hashlib.md5((folder / file).read_bytes()).hexdigest()]

    def batch(file: str) -> tuple[list[str], np.ndarray, list[int]]:
        data = rng.integers(0, 256, (20, 3 * 32 * 32), dtype=np.uint8)
        labels = rng.integers(0, classes, 20).tolist()
        return write(file, {"data": data, label_key: labels}), data, labels

    sides = {}
    for side in ("train_list", "test_list"):
        written = [batch(file) for file, _ in getattr(original, side)]
        monkeypatch.setattr(original, side, [entry for entry, _, _ in written])
        sides[side] = np.concatenate([data for _, data, _ in written])
        sides[f"{side}_labels"] = np.concatenate([labels for _, _, labels in written])
    names = [f"class{i}" for i in range(classes)]
    _, md5 = write(original.meta["filename"], {original.meta["key"]: names})
    monkeypatch.setattr(original, "meta", {**original.meta, "md5": md5})
    return sides


@pytest.mark.parametrize(("name", "label"), [("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100")])
@pytest.mark.parametrize("inside", [False, True])
def test_torchvision_directory_is_read_once(data_config, tmp_path, monkeypatch, name, label, inside):
    """`data.root` may be the folder around the batches or the one with them."""
    want = write_pickles(tmp_path / "data", monkeypatch, name)
    base = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}[name]
    config = data_config(name, root=str(tmp_path / "data" / base if inside else tmp_path / "data"))
    dataset = load_data(config)
    assert dataset.name == label
    assert len(dataset.classes) == {"cifar10": 10, "cifar100": 100}[name]
    for split, side in ((dataset.train, "train_list"), (dataset.test, "test_list")):
        channels_first = split.images.permute(0, 3, 1, 2).reshape(len(split), -1)
        assert np.array_equal(channels_first.numpy(), want[side])
        assert np.array_equal(split.labels.numpy(), want[f"{side}_labels"])
    load_data.cache_clear()
    monkeypatch.setattr(cifar, "_torchvision", None)  # the second time comes from the cache
    assert torch.equal(load_data(config).train.images, dataset.train.images)


def test_damaged_archive_is_one_line(data_config, tmp_path, monkeypatch):
    write_pickles(tmp_path / "data", monkeypatch, "cifar10")
    (tmp_path / "data" / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cut")
    with pytest.raises(
        UsageError, match=r"cifar-10-batches-py is not a whole copy of CIFAR-10 .*cifar-10-python"
    ):
        load_data(data_config("cifar10", root=str(tmp_path / "data")))


@pytest.mark.parametrize(
    ("name", "classes", "suffix", "label"),
    [
        ("cifar10", 10, "png", "CIFAR-10 (image folder)"),
        ("cifar10", 10, "jpg", "CIFAR-10 (JPEG)"),
        ("cifar100", 100, "png", "CIFAR-100 (image folder)"),
        ("cifar100", 100, "JPEG", "CIFAR-100 (JPEG)"),
    ],
)
def test_image_folder_is_recognized_and_labelled(data_config, make_tree, name, classes, suffix, label):
    """Errors on JPEG copies are higher: an unlabelled number would be compared with the original's."""
    root = make_tree(classes=classes, per_class=1, side=32, suffix=suffix)
    dataset = load_data(data_config(name, root=str(root)))
    assert dataset.name == label
    assert dataset.train.images.shape == (classes, 32, 32, 3)
    assert len(dataset.classes) == classes


def test_folder_of_other_images_is_refused(data_config, make_tree):
    with pytest.raises(UsageError, match=r"2 classes in train/, but CIFAR-10 has 10; use data=image_folder"):
        load_data(data_config("cifar10", root=str(make_tree(classes=2))))


def test_images_of_another_size_are_refused(data_config, make_tree):
    root = make_tree(classes=10, per_class=1, side=48)
    message = r"class000/0.png is 48x48 pixels .*, but CIFAR-10's are 32x32; use data=image_folder"
    with pytest.raises(UsageError, match=message):
        load_data(data_config("cifar10", root=str(root)))
    load_data(data_config("image_folder", root=str(root)))  # fills the cache that both share
    with pytest.raises(UsageError, match=message):
        load_data(data_config("cifar10", root=str(root)))


def test_image_size_is_refused(data_config):
    with pytest.raises(UsageError, match=r"data.image_size=64: .*cifar10"):
        load_data(data_config("cifar10", image_size=64))


def test_offline_and_absent_says_where_it_looked_and_how_to_get_it(data_config, tmp_path, monkeypatch, capfd):
    import torchvision.datasets.cifar

    def offline(url, root, **options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", offline)
    with pytest.raises(UsageError) as error:
        load_data(data_config("cifar10"))
    text = str(error.value)
    assert "\n" not in text
    for part in (str(tmp_path / "cache" / "data"), "cifar-10-batches-py", "cannot be downloaded", "https://"):
        assert part in text
    assert capfd.readouterr() == ("", "")


def test_download_false_does_not_try(data_config, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "_torchvision", None)
    with pytest.raises(UsageError, match=r"no CIFAR-100 there .*data.download=false; unpack https://"):
        load_data(data_config("cifar100", root=str(tmp_path), download=False))


def test_absent_is_downloaded_to_root(data_config, tmp_path, monkeypatch):
    import torchvision.datasets.cifar

    def fetch(url, root, **options):
        assert url == cifar.CIFAR10.url
        write_pickles(Path(root), monkeypatch, "cifar10")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", fetch)
    dataset = load_data(data_config("cifar10", root=str(tmp_path / "new")))
    assert dataset.name == "CIFAR-10"
    assert (tmp_path / "new" / "cifar-10-batches-py").is_dir()


def test_urls_are_torchvisions():
    import torchvision.datasets

    for entry in (cifar.CIFAR10, cifar.CIFAR100):
        original = getattr(torchvision.datasets, entry.torchvision_class)
        assert (entry.url, entry.folder) == (original.url, original.base_folder)


@pytest.mark.skipif(
    not JPEG_ARCHIVE.is_file(), reason="the CIFAR-10 JPEG archives are not beside this checkout"
)
def test_real_cifar10_from_a_folder(data_config, tmp_path):
    """200 real test images of each side: right classes, and pixels that look like CIFAR's."""
    with np.load(JPEG_ARCHIVE) as pack:
        jpeg, offset, label, classes = (pack[key] for key in ("jpeg", "offset", "label", "classes"))
    for i in range(0, 10_000, 25):  # the archive is sorted by class
        folder = tmp_path / "cifar" / ("train" if i % 2 else "test") / str(classes[label[i]])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:04d}.jpg").write_bytes(jpeg[offset[i] : offset[i + 1]].tobytes())
    dataset = load_data(data_config("cifar10", root=str(tmp_path / "cifar")))
    assert dataset.name == "CIFAR-10 (JPEG)"
    assert dataset.classes == tuple(sorted(map(str, classes)))
    assert dataset.train.images.shape == dataset.test.images.shape == (200, 32, 32, 3)
    assert torch.bincount(dataset.train.labels).tolist() == [20] * 10
    assert dataset.mean == pytest.approx((0.49, 0.48, 0.45), abs=0.05)
    assert dataset.std == pytest.approx((0.25, 0.24, 0.26), abs=0.03)
