"""What both readers of image folders leave out, read and refuse: a wrong tree trains to a wrong number."""

import dataclasses
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from folder_cases import CASES, READERS, SIDES, Case, expected, image_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.data import load_data
from bnrepro.data.decode import decode_files, decode_image

KINDS = ("image_folder", "image_stream")


@pytest.fixture(params=KINDS)
def load(request, data_config, make_tree):
    """`load(**changes)`: the tree of two classes with three images each, as a new process would."""

    def load(**changes):
        load_data.cache_clear()
        config = data_config(request.param, root=str(make_tree.root), **changes)
        return load_data(config)

    make_tree.root = make_tree(side=32)
    load.root = make_tree.root
    load.kind = request.param
    return load


@pytest.fixture
def make_tree(make_tree):
    class Trees:
        root: Path

        def __call__(self, **options):
            return make_tree(**options)

    return Trees()


def refused(load, **changes) -> str:
    with pytest.raises(UsageError) as error:
        load(**changes)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("data.")
    return text


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_broken_folder_is_refused_or_read_whole(tmp_path, case: Case, side, reader):
    """The campaign's cases, without the training."""
    root = image_tree(tmp_path / "base")
    case.break_(root, side)
    overrides = [*READERS[reader], f"data.root={root}", f"data.cache_dir={tmp_path}/cache"]
    if "stream" in reader:
        overrides.append("data.stream.workers=0")
    config = compose_config(overrides).data
    wanted = expected(case, reader, side)
    if wanted is None:
        with pytest.raises(UsageError) as error:
            read_all(config)
        assert str(error.value).isprintable()
        assert str(case.named) in str(error.value)
    else:
        assert read_all(config) == wanted


def read_all(config) -> tuple[int, int]:
    """Every image once; how many there are for training and for evaluation."""
    load_data.cache_clear()
    dataset = load_data(config)
    for feed in dataset.feeds(config, torch.device("cpu")):
        assert sum(len(y) for _, y in feed.test_batches([slice(0, len(feed))])) == len(feed)
    return len(dataset.train), len(dataset.test)


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "Thumbs.db", "DESKTOP.INI", ".DS_Store", "#recycle"])
def test_what_file_managers_leave_is_not_part_of_the_set(load, write_image, name):
    """A network storage's thumbnails are images: they were trained on."""
    litter = load.root / "train" / "class000" / name
    if "." in name:
        litter.write_bytes(b"\0")
    else:
        write_image(litter / "0.png" / "SYNOPHOTO_THUMB_M.png", 32, 32)
        write_image(load.root / "train" / name / "0.png", 32, 32)
    dataset = load()
    assert (len(dataset.train), len(dataset.test), len(dataset.classes)) == (6, 6, 2)


def test_classes_one_level_deeper_are_refused(load):
    """`train/a/airfield/*` would train on the letters of the alphabet."""
    for side in ("train", "test"):
        (load.root / side / "a").mkdir()
        for name in ("class000", "class001"):
            (load.root / side / name).rename(load.root / side / "a" / name)
    text = refused(load)
    assert "/a holds only folders (class000, class001): the classes are one level deeper" in text


def test_an_image_beside_the_class_folders_is_refused(load, write_image):
    """It has no class, and would be left out in silence."""
    write_image(load.root / "train" / "lost.png", 32, 32)
    assert "train/lost.png is an image outside of the class folders" in refused(load)


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_an_evaluation_image_that_is_a_training_image_is_refused(load, link):
    twin = load.root / "test" / "class001" / "9.png"
    link(twin, load.root / "train" / "class001" / "2.png")
    text = refused(load)
    assert "1 of 7 evaluation images are training images too, as" in text
    assert "test/class001/9.png, which is" in text
    assert "train/class001/2.png" in text


@pytest.mark.parametrize("name", ["", "class001"])
def test_a_folder_for_both_is_refused(load, name):
    """`test -> train` gives an error of 0 %."""
    folder = load.root / "test" / name
    folder.rename(load.root / "away")
    folder.symlink_to(load.root / "train" / name)
    assert "evaluation images are training images too" in refused(load)


def test_copies_of_all_training_images_are_refused_as_a_test_set(load):
    for path in sorted(load.root.glob("train/*/*")):
        (load.root / "test" / path.parent.name / path.name).write_bytes(path.read_bytes())
    if load.kind == "image_stream":
        load()  # nothing is decoded, and no file is read
    else:
        assert "holds the same images for training and for evaluation" in refused(load)


def test_a_file_that_has_become_a_pipe_is_not_opened(data_config, make_tree):
    """Between the listing and the training."""
    root = make_tree(side=32)
    config = data_config("image_stream", root=str(root))
    assert config.stream is not None
    config = dataclasses.replace(config, stream=dataclasses.replace(config.stream, workers=1))
    _, test = load_data(config).feeds(config, torch.device("cpu"))
    path = root / "test" / "class000" / "1.png"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match=r"class000/1.png is not a readable image \(is not a regular file\)"):
        list(test.test_batches([slice(0, 6)]))


def test_a_broken_file_may_be_called_anything(data_config, make_tree):
    root = make_tree()
    (root / "train" / "class000" / os.fsdecode(b"caf\xe9\n\x1b[31m.png")).write_bytes(b"broken")
    dataset = load_data(data_config("image_folder", root=str(root), skip_corrupt=True))
    assert dataset.skipped == ("train/class000/caf\\udce9 \\x1b[31m.png",)


def bomb(path: Path, height: int, width: int) -> None:
    """A black PNG of any size, in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_an_image_that_may_fill_the_memory_says_which_key_allows_it(data_config, make_tree):
    root = make_tree()
    bomb(root / "train" / "class000" / "1.png", 400, 500)
    config = data_config("image_folder", root=str(root), image_size=6, max_pixels=199_999, skip_corrupt=True)
    with pytest.raises(
        UsageError, match=r"^data.max_pixels=199999: .*class000/1.png has 400x500 .*data.max_pixels=200000"
    ):
        load_data(config)
    assert load_data(dataclasses.replace(config, max_pixels=200_000)).skipped == ()


def test_a_scan_larger_than_pillows_limit_is_read_without_a_warning(tmp_path):
    """Warnings are errors here; in a run they would come once per image."""
    bomb(tmp_path / "scan.png", 9_500, 9_500)
    assert decode_image(tmp_path / "scan.png", 8).shape == (8, 8, 3)


@pytest.mark.parametrize("name", ["large.jpg", "large.png"])
def test_streamed_images_have_the_same_limit(data_config, make_tree, name):
    root = make_tree(side=32)
    pixels = np.zeros((40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(root / "test" / "class001" / name)
    config = data_config("image_stream", root=str(root), max_pixels=1999)
    assert config.stream is not None
    config = dataclasses.replace(config, stream=dataclasses.replace(config.stream, workers=0))
    _, test = load_data(config).feeds(config, torch.device("cpu"))
    with pytest.raises(UsageError, match=rf"^data.max_pixels=1999: .*{name} has 40x50 pixels .*=2000 "):
        list(test.test_batches([slice(0, 7)]))


ENTRY = st.builds(
    lambda tag, kind, count, value: struct.pack("<HHII", tag, kind, count, value),
    st.sampled_from([0x010F, 0x0110, 0x8769, 0x8825, 0xA005])
    | st.integers(0, 2**16 - 1).filter(lambda tag: tag != 0x0112),
    st.integers(0, 14),
    st.integers(0, 12),
    st.integers(0, 100) | st.integers(0, 2**32 - 1),
)
ORIENTATION = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(ENTRY, max_size=8), st.binary(max_size=100))
def test_an_odd_exif_tag_does_not_cost_the_photo(tmp_path_factory, entries, rest):
    """Phones and editors write what they like; only the orientation is wanted."""
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries) + 1)
    block += b"".join([*entries, ORIENTATION]) + b"\0\0\0\0" + rest
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    pixels[:8] = 255
    path = tmp_path_factory.getbasetemp() / "odd.jpg"
    Image.fromarray(pixels).save(path, exif=block, quality=95)
    ((decoded,),) = decode_files([path], None, 10**9, "test")
    assert isinstance(decoded, np.ndarray), decoded
    assert decoded.shape == (24, 16, 3)
    assert decoded[:, :8].max() < 50
    assert decoded[:, 8:].min() > 200
