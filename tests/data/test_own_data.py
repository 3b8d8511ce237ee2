"""A data set of the user's own, from a file beside its YAML: cached or streamed, checked image by image."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import call

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import config_hash
from bnrepro.data import load_data
from bnrepro.data.items import to_class, to_pixels
from bnrepro.data.resident import ResidentDataset

PAIRS = """
import numpy as np
from torch.utils.data import Dataset

class Pairs(Dataset):
    classes = ["dark", "light"]

    def __init__(self, count, first, level=0):
        self.count, self.first, self.level = count, first, level
        self.targets = [i % 2 for i in range(count)]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng(self.first + index)
        label = index % 2
        return rng.integers(self.level + 100 * label, 100 * label + 150, (8, 8, 3), dtype=np.uint8), label

def make(*, level: int = 0):
    return Pairs(40, 0, level), Pairs(20, 1000, level)
"""


@pytest.fixture
def own(tmp_path):
    """`own(code, *overrides, yaml=...)`: the data set that a file of the user's own makes."""
    (tmp_path / "data").mkdir()

    def load(code: str, *overrides: str, yaml: str = ""):
        (tmp_path / "data" / f"set{len(list((tmp_path / 'data').glob('*.py')))}.py").write_text(code)
        name = sorted((tmp_path / "data").glob("*.py"))[-1].name
        (tmp_path / "data" / "mine.yaml").write_text(f"{yaml}\nfactory: {name}:make\n")
        load_data.cache_clear()
        config = compose_config(["data=mine", f"data.cache_dir={tmp_path}/cache", *overrides], tmp_path)
        return load_data(config.data)

    load.folder = tmp_path
    yield load
    load_data.cache_clear()


def refused(own, code: str, *overrides: str, yaml: str = "") -> str:
    with pytest.raises(UsageError) as error:
        own(code, *overrides, yaml=yaml)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("data.factory=")
    return text.partition(":make: ")[2]


def test_two_sets_of_pairs_are_decoded_once_with_the_options_of_the_yaml(own):
    dataset = own(PAIRS, yaml="level: 7")
    assert (dataset.name, dataset.classes) == ("mine", ("dark", "light"))
    assert dataset.train.images.shape == (40, 8, 8, 3)
    assert dataset.test.labels.tolist() == [0, 1] * 10
    want = np.random.default_rng(1003).integers(107, 250, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(dataset.test.images[3].numpy(), want)
    assert dataset.train.images.min() == 7


def test_what_is_unchanged_is_not_read_again_and_what_has_changed_is(own, monkeypatch):
    """A stale copy would train on data that the user has long corrected."""
    first = own(PAIRS)
    second = own(PAIRS)
    folders = [path for path in (own.folder / "cache" / "decoded").iterdir() if path.is_dir()]
    assert len(folders) == 1
    assert torch.equal(first.train.images, second.train.images)
    changed = own(PAIRS.replace("150", "151"))
    assert not torch.equal(first.train.images, changed.train.images)
    assert own(PAIRS, "data.level=3", yaml="level: 0").train.images.min() == 3


def test_a_change_outside_of_the_file_shows_in_the_images(own):
    """The factory's own file is the same, what it reads is not."""
    head = "def make(*, level: int = 0):\n"
    code = PAIRS.replace(head, f"{head}    level = int(Path({str(own.folder / 'level')!r}).read_text())\n")
    code = f"from pathlib import Path\n{code}"
    (own.folder / "level").write_text("1")
    assert own(code).train.images.min() == 1
    (own.folder / "level").write_text("2")
    assert own(code).train.images.min() == 2


def test_a_class_that_takes_train_is_called_for_both_sides_as_torchvisions_are(own):
    code = PAIRS.replace(
        "def make(*, level: int = 0):\n    return Pairs(40, 0, level), Pairs(20, 1000, level)\n",
        "def make(root, train, download=False):\n"
        "    assert root == '/somewhere' and download is False\n"
        "    return Pairs(30, 0) if train else Pairs(10, 1000)\n",
    )
    dataset = own(code, "data.root=/somewhere")
    assert (len(dataset.train), len(dataset.test)) == (30, 10)


def test_a_data_set_of_ours_is_taken_as_it_is(own):
    code = """
import torch
from bnrepro.data import ResidentDataset, Split

def make():
    split = Split(torch.zeros(4, 5, 5, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    return ResidentDataset("two channels", ("a", "b"), split, split, (0.5, 0.5), (1.0, 1.0))
"""
    dataset = own(code)
    assert isinstance(dataset, ResidentDataset)
    assert (dataset.name, dataset.in_channels) == ("two channels", 2)


ITERATED = """
import numpy as np
from torch.utils.data import IterableDataset

class Pairs(IterableDataset):
    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return ((np.full((4, 4), i % 256, np.uint8), i % 3) for i in range(self.count))

def make():
    return Pairs(300), Pairs(60)
"""


def test_what_can_only_be_iterated_over_is_read_to_its_end(own):
    dataset = own(ITERATED)
    assert (len(dataset.train), len(dataset.test)) == (300, 60)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.train.images[255].unique().tolist() == [255]


def changed(old: str, new: str) -> str:
    assert old in PAIRS
    return PAIRS.replace(old, new)


ITEM = "return rng.integers(self.level + 100 * label, 100 * label + 150, (8, 8, 3), dtype=np.uint8), label"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            changed("return Pairs(40, 0, level), Pairs(20, 1000, level)", "return 3"),
            "returns a int; return (",
        ),
        (changed("Pairs(20, 1000, level)", "3"), "gives a int for the test set; give (image, label) pairs"),
        (changed(ITEM, "return 3"), "train[0] is a int, not a pair (image, label)"),
        (changed(ITEM, "return 'x', label"), "train[0] has a str for an image"),
        (changed(ITEM, "return np.zeros((8, 8, 3)) - 1, label"), "train[0] has values from -1 to -1"),
        (
            changed(ITEM, "return np.zeros((8, 8, 3, 1)), label"),
            "train[0] has an image of shape (8, 8, 3, 1)",
        ),
        (
            changed("dtype=np.uint8), label", "dtype=np.uint8), 0.5"),
            "train[0] has a label that is not a whole",
        ),
        (changed("dtype=np.uint8), label", "dtype=np.uint8), -1"), "train[0] has the label -1"),
        (changed("dtype=np.uint8), label", "dtype=np.uint8), 2"), "has 2 classes and the label 2"),
        (
            changed("(8, 8, 3)", "(8, 8 + index // 9, 3)"),
            "train[9] is 8x9x3 (height x width x channels), but",
        ),
        (changed("default_rng(self.first + index)", "default_rng()"), "train[0] is another each time"),
        (changed("Pairs(40, 0, level)", "Pairs(0, 0, level)"), "the train set is empty"),
        (changed("1000, level)", "0, level)").replace("Pairs(40", "Pairs(20"), "test images are the same"),
        (
            changed("label = index % 2", "label = index % 2 + 0 // (index - 5)"),
            "train[5] cannot be read (ZeroDivisionError",
        ),
        (
            changed("    return Pairs(40", "    raise KeyError('boom')\n    return Pairs(40"),
            "KeyError: 'boom' (",
        ),
        ("make = 3", "is not callable"),
        ("import nowhere", "cannot be imported (ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_used_is_named(own, code, message):
    """An own data set is code that has just been written: every mistake must be found by its line."""
    assert message in refused(own, code)


def test_the_line_of_the_users_code_is_named(own):
    assert ".py, line 17)" in refused(
        own, changed("label = index % 2", "label = index % 2 + 0 // (index - 5)")
    )


def test_broken_images_are_left_out_by_name(own):
    code = changed("label = index % 2", "label = index % 2 + 0 // (index - 5)")
    dataset = own(code, "data.skip_corrupt=true")
    assert dataset.skipped == ("train[5]", "test[5]")
    assert (len(dataset.train), len(dataset.test)) == (39, 19)
    assert "train[5] cannot be read" in refused(own, code)


def test_a_factory_on_top_of_another_data_set_is_refused(own):
    """Figures would call the user's images digits."""
    own(PAIRS)
    factory = f"data.factory={own.folder}/data/set0.py:make"
    with pytest.raises(UsageError, match=r"is on top of data=digits; give data=own"):
        load_data(compose_config([factory]).data)
    config = compose_config(["data=own", factory, f"data.cache_dir={own.folder}/cache"]).data
    assert load_data(config).name == "set0.make"


def test_no_factory_is_said(own):
    with pytest.raises(UsageError, match=r"data.factory=null: .*my_data.py:make"):
        load_data(compose_config(["data=own"]).data)


def test_an_option_that_the_factory_does_not_take_is_refused(own):
    with pytest.raises(UsageError, match=r"data.lvel: no such key; did you mean level"):
        own(PAIRS, yaml="lvel: 1")
    with pytest.raises(UsageError, match=r"data.level=dark: must be a whole number"):
        own(PAIRS, "data.level=dark", yaml="level: 0")


@pytest.mark.parametrize("workers", [0, 1])
def test_streamed_images_have_the_same_draws_as_files(own, workers):
    """The same images as PNG files, read by `image_stream`."""
    dataset = own(PAIRS, yaml="defaults: [_stream]")
    root = own.folder / "tree"
    for side, split in (("train", dataset.train), ("val", dataset.test)):
        for i in range(len(split)):
            pixels, label = split.items.read(i)
            path = root / side / f"{label}" / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    overrides = (
        *(f"data.cache_dir={own.folder}/cache", f"data.stream.workers={workers}"),
        *("data.stream.crop_size=8", "data.stream.resize_size=8"),
    )
    ours = compose_config(["data=mine", *overrides], own.folder).data
    files = compose_config(["data=image_stream", f"data.root={root}", *overrides]).data
    sides = [load_data(config).feeds(config, torch.device("cpu"))[1] for config in (ours, files)]
    by_class = [*range(0, 20, 2), *range(1, 20, 2)]
    ((x, y),) = sides[0].test_batches([torch.tensor(by_class)])
    ((want, labels),) = sides[1].test_batches([slice(0, 20)])
    assert torch.equal(x, want)
    assert torch.equal(y, labels)


def test_streamed_data_without_the_classes_of_its_images_is_refused(own):
    message = "no index, length or attribute `targets`"
    assert message in refused(own, PAIRS.replace("self.targets", "self.other"), yaml="defaults: [_stream]")
    assert message in refused(own, ITERATED, yaml="defaults: [_stream]")


def test_a_streamed_image_that_cannot_be_read_is_named(own):
    code = changed("label = index % 2", "label = index % 2 + 0 // (index - 5)")
    config = compose_config(["data=digits"]).data
    dataset = own(code, yaml="defaults: [_stream]")
    stream = compose_config(["data=image_stream", "data.stream.workers=1"]).data.stream
    _, test = dataset.feeds(dataclasses.replace(config, stream=stream), torch.device("cpu"))
    with pytest.raises(UsageError, match=r"test\[5\] cannot be read \(ZeroDivisionError"):
        list(test.test_batches([slice(0, 10)]))


def test_a_subset_of_torchs_keeps_names_and_classes(own):
    code = PAIRS.replace(
        "return Pairs(40, 0, level)",
        "from torch.utils.data import Subset\n    return Subset(Pairs(40, 0, level), [3, 5, 8])",
    )
    dataset = own(code)
    assert dataset.train.labels.tolist() == [1, 1, 0]
    assert dataset.classes == ("dark", "light")
    assert own(code, yaml="defaults: [_stream]").train.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (3, 2), (10, 20, 30)),
        np.full((2, 3, 3), (10, 20, 30), dtype=np.uint8),
        np.full((2, 3, 3), (10, 20, 30), dtype=np.int64),
        np.full((2, 3, 3), (10, 20, 30), dtype=np.float32) / 255,
        torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 2, 3),
        torch.tensor([10.0, 20.0, 30.0]).view(3, 1, 1).expand(3, 2, 3) / 255,
    ],
)
def test_images_of_any_form_become_the_same_bytes(image):
    """Pillow and numpy have the channels last, torch has them first: mixed up, the image is noise."""
    pixels = to_pixels(image, None)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (2, 3, 3)
    assert pixels[1, 2].tolist() == [10, 20, 30]


@pytest.mark.parametrize("image", [Image.new("L", (4, 6), 9), np.full((6, 4), 9, np.uint8)])
def test_gray_images_have_one_channel_and_can_be_resized(image):
    assert to_pixels(image, None).shape == (6, 4, 1)
    assert to_pixels(image, 3).shape == (3, 3, 1)
    assert to_pixels(image, 3).max() == 9


@pytest.mark.parametrize("label", [3, np.int64(3), torch.tensor(3), np.array([3])])
def test_labels_of_any_form(label):
    assert to_class(label) == 3


def test_a_run_and_its_repetition_know_the_file(own, monkeypatch):
    """Its path is stored, so that a resumed run, a worker and a Slurm task find it from anywhere."""
    own(PAIRS)
    arguments = (
        *("train", "data=mine", "--config-dir", str(own.folder), f"data.cache_dir={own.folder}/cache"),
        *("epochs=1", "batch_size=4", "data.padding=1", "evaluation.precise_images=8", "tensorboard=false"),
        *("device=cpu", "--out", str(own.folder / "run")),
    )
    ended = call(*arguments)
    assert ended.code == 0, ended.err
    assert "on mine: 40 training and 20 test images of 2 classes" in ended.out
    files = json.loads((own.folder / "run" / "env.json").read_text())["factory_files"]
    assert [Path(path).name for path in files] == ["set0.py"]
    monkeypatch.chdir("/")
    assert "already finished" in call(*arguments).out


def test_a_config_without_a_factory_is_the_same_run_as_before():
    assert config_hash(compose_config([])) == "aa65b7bfb513"
