"""The streaming feed: the right images with the right draws, whoever decodes them and wherever one starts."""

import dataclasses
import gc
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from photos import photo

from bnrepro.config.errors import UsageError
from bnrepro.data import load_data
from bnrepro.data.streaming.requests import UNIT

CPU = torch.device("cpu")


@pytest.fixture
def feeds(write_tree, stream_config):
    def make(**changes: object):
        config = stream_config(write_tree(), **changes)
        return load_data(config).feeds(config, CPU)

    return make


def joined(batches):
    x, y = zip(*batches, strict=True)
    return torch.cat(x), torch.cat(y)


def test_batches_follow_the_table(feeds):
    train, _ = feeds()
    table = train.table(0, 0)
    x, y = joined(train.train_batches(table, [slice(0, 3), slice(3, 8)]))
    assert x.shape == (8, 3, 16, 16)
    assert x.is_contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([0] * 4 + [1] * 4)
    assert torch.equal(y, labels[table.order])
    again, _ = joined(train.train_batches(train.table(0, 0), [slice(0, 8)]))
    assert torch.allclose(again, x, rtol=0, atol=1e-5)
    other, _ = joined(train.train_batches(train.table(0, 1), [slice(0, 8)]))
    assert not torch.equal(other, x)


def test_a_resumed_epoch_and_a_share_of_it_see_the_same_images(feeds):
    """A checkpoint has only the step; a process has only its part."""
    train, _ = feeds()
    table = train.table(0, 0)
    whole, labels = joined(train.train_batches(table, [slice(0, 8)]))
    x, y = joined(train.train_batches(table, [slice(4, 6), torch.tensor([6, 7])]))
    assert torch.equal(x, whole[4:])
    assert torch.equal(y, labels[4:])
    mine, _ = joined(train.train_batches(table, [torch.tensor([0, 1, 4, 5])]))
    assert torch.equal(mine, whole[[0, 1, 4, 5]])


def test_evaluation_batches_are_in_the_order_asked_for(feeds):
    _, test = feeds()
    x, y = joined(test.test_batches([slice(0, 6)]))
    shuffled, labels = joined(test.test_batches([torch.tensor([5, 0]), torch.tensor([3])]))
    assert torch.equal(shuffled, x[[5, 0, 3]])
    assert torch.equal(labels, y[[5, 0, 3]])


def test_without_augmentation_training_images_are_as_in_evaluation(feeds):
    train, _ = feeds(augment="none")
    table = train.table(0, 0)
    plain, _ = joined(train.test_batches([table.order]))
    x, _ = joined(train.train_batches(table, [slice(0, 8)]))
    assert torch.equal(x, plain)


@pytest.mark.parametrize("size", [1, UNIT - 1, UNIT, 2 * UNIT + 3])
def test_parts_larger_than_a_request_come_back_whole(feeds, size):
    _, test = feeds()
    indices = torch.arange(size) % 6
    ((x, y),) = list(test.test_batches([indices]))
    assert len(x) == len(y) == size
    assert torch.equal(x[-1], x[(size - 1) % 6])


def test_loader_processes_give_what_one_process_gives(write_tree, stream_config):
    root = write_tree()
    results = []
    for workers in (0, 1):
        config = stream_config(root, workers=workers)
        train, test = load_data(config).feeds(config, CPU)
        table = train.table(0, 0)
        broken_off = train.train_batches(table, [slice(i, i + 1) for i in range(8)])
        next(broken_off)  # as Ctrl-C does; the processes serve the next epoch all the same
        x, _ = joined(train.train_batches(table, [slice(0, 4), slice(4, 8)]))
        y, _ = joined(test.test_batches([slice(0, 6)]))
        results.append((x, y))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_loader_processes_end_with_a_feed_that_was_broken_off(write_tree, stream_config):
    """Else a sweep's worker would keep those of every cell that was, and wait for them in a later one."""
    config = stream_config(write_tree(), workers=1)
    before = set(multiprocessing.active_children())

    def break_off():
        train, _ = load_data(config).feeds(config, CPU)
        batches = train.train_batches(train.table(0, 0), [slice(i, i + 1) for i in range(8)])
        next(batches)
        cycle = [batches, train]
        cycle.append(cycle)  # as a traceback makes one
        return set(multiprocessing.active_children()) - before

    processes = break_off()
    assert len(processes) == 1
    while gc.collect():
        pass
    assert not processes & set(multiprocessing.active_children())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "truncated"),
        (lambda path: path.write_bytes(b""), "cannot identify"),
        (lambda path: path.write_text("<html>not found</html>"), "cannot identify"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_a_broken_file_is_named_in_one_line(write_tree, stream_config, damage, reason, workers):
    root: Path = write_tree()
    config = stream_config(root, workers=workers)
    _, test = load_data(config).feeds(config, CPU)
    damage(root / "val/n00000002/1.JPEG")
    with pytest.raises(UsageError, match=f"val/n00000002/1.JPEG is not a readable image .*{reason}") as error:
        list(test.test_batches([slice(0, 6)]))
    assert "\n" not in str(error.value)


def test_a_file_without_permission_is_named(write_tree, stream_config, monkeypatch):
    """Simulated, as root may read everything."""

    def denied(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    config = stream_config(write_tree())
    train, _ = load_data(config).feeds(config, CPU)
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(
        UsageError, match=r"JPEG is not a readable image \(cannot be read \(Permission denied\)\)"
    ):
        list(train.train_batches(train.table(0, 0), [slice(0, 1)]))


def test_grayscale_and_cmyk_files_are_images_like_others(write_tree, stream_config):
    root = write_tree()
    photo(40, 50).convert("L").save(root / "val/n00000001/0.JPEG")
    photo(40, 50).convert("CMYK").save(root / "val/n00000001/1.JPEG")
    config = stream_config(root)
    _, test = load_data(config).feeds(config, CPU)
    x, _ = joined(test.test_batches([slice(0, 2)]))
    assert torch.isfinite(x).all()
    assert (x[0] - x[1]).abs().mean() > 0.1


def test_subsets_are_balanced(write_tree, stream_config):
    config = dataclasses.replace(stream_config(write_tree()), train_subset=4)
    dataset = load_data(config)
    assert torch.bincount(dataset.train.labels).tolist() == [2, 2]
    assert [name.split("/")[1] for name in dataset.train.names] == ["n00000001"] * 2 + ["n00000002"] * 2


def test_the_label_says_which_images_they_are(write_tree, stream_config):
    root = write_tree()
    assert load_data(stream_config(root)).name == "photos (image folder, streamed)"
    assert load_data(stream_config(root, name="imagenet")).name == "ImageNet (2 classes)"


def test_other_folders_are_not_called_imagenet(write_tree, stream_config):
    with pytest.raises(UsageError, match="cat is not a WordNet id"):
        load_data(stream_config(write_tree(("cat", "dog")), name="imagenet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"skip_corrupt": True}, "skip_corrupt"), ({"stream": None}, "stream"), ({"root": None}, "root")],
)
def test_what_cannot_be_for_a_streamed_set_is_refused(write_tree, stream_config, change, message):
    with pytest.raises(UsageError, match=f"data.{message}="):
        load_data(dataclasses.replace(stream_config(write_tree()), **change))
