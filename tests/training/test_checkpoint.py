"""A user would get another error from a checkpoint that is not as it was written, or not of this run."""

import itertools
import json
import random
import re
import shutil
from pathlib import Path

import pytest
import torch
from damage import CONTENTS, damage
from tiny_runs import record, tiny_run

from bnrepro.data.resident import ResidentFeed
from bnrepro.training.process.interrupt import Interrupted, StopFlag

RUN = ("epochs=3", "data.train_subset=64", "evaluation.every=1", "norm=bn", "optimizer.base_lr=0.1")
MIDDLE = 6
"""Reports until the run is in its second epoch."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the run's record is without an interruption, and a directory that was interrupted."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResidentFeed, "chunk_images", 16)
        tiny_run(root / "whole", *RUN)
        flag, left = StopFlag(), iter(range(MIDDLE - 1))
        with pytest.raises(Interrupted):
            tiny_run(root / "cut", *RUN, stop=flag, report=lambda _: next(left, None) is None and flag.set())
    return root


@pytest.fixture
def cut(whole, tmp_path) -> Path:
    return shutil.copytree(whole / "cut", tmp_path / "cut")


def change(directory: Path, what) -> None:
    """Rewrite the checkpoint as an older version would have written it: without a checksum."""
    path = directory / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    for key in ("checksum", "metrics", "config_hash"):
        del state[key]
    what(state)
    torch.save(state, path)


def resumed(directory: Path, whole: Path, capfd) -> str:
    """Run it to the end, which is that of the whole run; what it said about files."""
    capfd.readouterr()
    tiny_run(directory, *RUN)
    assert record(directory) == record(whole / "whole")
    said = capfd.readouterr().err
    assert said.count("\n") <= 1
    return said


def test_an_undamaged_one_is_continued_without_a_word(cut, whole, capfd):
    assert json.loads((cut / "metrics.jsonl").read_text().splitlines()[-1])["epoch"] == 1
    assert resumed(cut, whole, capfd) == ""


def test_adams_is_continued_too(tmp_path, capfd):
    adam = (*RUN, "optimizer=adam")
    tiny_run(tmp_path / "whole", *adam)
    tiny_run(tmp_path / "cut", *adam)
    (tmp_path / "cut" / "result.json").unlink()
    tiny_run(tmp_path / "cut", *adam)
    assert record(tmp_path / "cut") == record(tmp_path / "whole")
    assert "starts again" not in capfd.readouterr().err


def test_one_of_an_older_version_is_continued(cut, whole, capfd):
    change(cut, lambda state: None)
    assert resumed(cut, whole, capfd) == ""


@pytest.mark.parametrize("way", sorted(CONTENTS))
def test_whatever_happened_to_it_the_result_is_the_same(cut, whole, capfd, way):
    damage(cut / "checkpoint.pt", way, seed=1)
    resumed(cut, whole, capfd)


def test_a_flipped_bit_anywhere_does_not_change_the_result(cut, whole, capfd):
    original, rng, noticed = (cut / "checkpoint.pt").read_bytes(), random.Random(0), 0
    for _ in range(6):
        copy = shutil.copytree(cut, cut.with_name("copy"))
        place = rng.randrange(len(original))
        flipped = original[:place] + bytes([original[place] ^ 4]) + original[place + 1 :]
        (copy / "checkpoint.pt").write_bytes(flipped)
        noticed += "the run starts again" in resumed(copy, whole, capfd)
        shutil.rmtree(copy)
    assert noticed >= 2  # the others are in what the file is filled up with


def set_position(**values):
    return lambda state: state["position"].update(values)


def not_finite(state):
    next(iter(state["model"].values())).fill_(float("nan"))


def another_shape(state):
    name = next(iter(state["model"]))
    state["model"][name] = state["model"][name][:1]


def momentum_of_another_shape(state):
    state["optimizer"][0]["momentum_buffer"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (set_position(epoch=7), "stands at epoch 7, step"),
        (set_position(epoch=3), "stands at epoch 3, step"),
        (set_position(step=99), "step 99, and the run has 3 epochs of 4 steps"),
        (set_position(epoch=-1), "epoch must be a whole number from 0, not -1"),
        (set_position(step=3), "losses has the shape"),
        (set_position(evaluations=0), "has 0 evaluations after 1 epochs"),
        (set_position(wrong=10_000), "has not the number of wrong guesses"),
        (set_position(train_seconds=float("inf")), "train_seconds must be a finite number"),
        (not_finite, "is not finite"),
        (another_shape, "has the shape"),
        (momentum_of_another_shape, r"optimizer\.0\.momentum_buffer has the shape"),
        (lambda state: state["model"].popitem(), "is of another network"),
        (lambda state: state["optimizer"].update({99: {}}), "the optimizer has no parameter 99"),
        (lambda state: state.pop("position"), "position is missing"),
        (lambda state: state.update(model=[]), "model must be a group of keys"),
    ],
    ids=map(str, itertools.count()),
)
def test_one_that_does_not_fit_the_run_is_named_and_not_used(cut, whole, capfd, what, why):
    """Also without a checksum: it trained for ever, or was completed, or diverged."""
    change(cut, what)
    said = resumed(cut, whole, capfd)
    assert re.search(rf"^bnrepro: .*checkpoint\.pt: .*{why}.*; the run starts again\n$", said), said


def test_one_of_another_run_is_named_and_not_used(cut, whole, capfd, tmp_path):
    other = tmp_path / "other"
    tiny_run(other, *RUN, "seed=1")
    (other / "checkpoint.pt").replace(cut / "checkpoint.pt")
    assert "checkpoint.pt: is of another config" in resumed(cut, whole, capfd)


@pytest.mark.parametrize("lines", ["", "first", "torn"])
def test_metrics_that_were_lost_come_from_the_checkpoint(cut, whole, capfd, lines):
    """Else the median would be of fewer evaluations, or there would be none."""
    path = cut / "metrics.jsonl"
    text = path.read_text()
    path.write_text({"": "", "first": text.replace("1", "2"), "torn": text[:-9]}[lines])
    assert "metrics.jsonl" in resumed(cut, whole, capfd)


def test_metrics_that_an_older_version_lost_start_the_run_again(cut, whole, capfd):
    change(cut, lambda state: None)
    (cut / "metrics.jsonl").write_text("")
    assert "has not the 1 evaluations before the checkpoint; the run starts again" in resumed(
        cut, whole, capfd
    )
