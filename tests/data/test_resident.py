"""The draws of an epoch, and the batches made from them."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnrepro.config.errors import UsageError
from bnrepro.data.draws import EpochTable, epoch_table, evaluation_order
from bnrepro.data.resident import ResidentFeed, Split, normalize

SEEDS = st.integers(0, 2**40)


def same(a: EpochTable, b: EpochTable) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("order", "dy", "dx", "flip"))


@given(SEEDS, st.integers(0, 500), st.integers(1, 80), st.integers(0, 5))
def test_table_is_a_permutation_with_draws_in_range(seed, epoch, images, padding):
    table = epoch_table(seed, epoch, images, padding, "crop_flip")
    assert sorted(table.order.tolist()) == list(range(images))
    for offsets in (table.dy, table.dx):
        assert offsets.shape == (images,)
        assert int(offsets.min()) >= 0
        assert int(offsets.max()) <= 2 * padding
    assert table.flip.shape == (images,)
    assert table.flip.dtype == torch.bool


@given(SEEDS, st.integers(0, 500))
def test_table_depends_on_its_arguments_only(seed, epoch):
    table = epoch_table(seed, epoch, 50, 4, "crop_flip")
    torch.manual_seed(seed + 1)
    assert same(table, epoch_table(seed, epoch, 50, 4, "crop_flip"))


def test_no_two_seeds_or_epochs_or_streams_share_draws():
    """seed 0 epoch 1 must not be seed 1 epoch 0: seeds would not be independent repetitions."""
    tables = [epoch_table(seed, epoch, 64, 4, "crop_flip") for seed in range(12) for epoch in range(12)]
    tables += [epoch_table(0, epoch, 64, 4, "crop_flip", stream="precise") for epoch in range(12)]
    assert len({tuple(table.order.tolist()) for table in tables}) == len(tables)
    assert len({tuple(table.dy.tolist()) for table in tables}) == len(tables)


def test_draws_are_uniform():
    table = epoch_table(0, 0, 90_000, 4, "crop_flip")
    for offsets in (table.dy, table.dx):
        counts = torch.bincount(offsets, minlength=9).double()
        assert counts.numel() == 9
        assert (counts / 10_000 - 1).abs().max() < 0.05
    assert table.flip.double().mean().item() == pytest.approx(0.5, abs=0.01)
    assert not torch.equal(table.dy, table.dx)


def test_draws_are_those_of_every_other_process_and_version():
    """A checkpoint holds epoch and step only: draws that changed would change what it resumes."""
    code = "from bnrepro.data.draws import epoch_table as t; x = t(3, 7, 6, 4, 'crop_flip'); "
    code += "print(x.order.tolist(), x.dy.tolist(), x.dx.tolist(), x.flip.int().tolist())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[3, 4, 0, 1, 2, 5] [4, 3, 4, 2, 4, 0] [3, 5, 3, 0, 3, 1] [1, 0, 1, 1, 0, 1]"


def test_augment_decides_what_is_drawn():
    none, crop, both = (epoch_table(1, 2, 200, 4, augment) for augment in ("none", "crop", "crop_flip"))
    assert torch.equal(none.order, both.order)
    assert set(none.dy.tolist()) == set(none.dx.tolist()) == {4}
    assert torch.equal(crop.dy, both.dy)
    assert not crop.flip.any()
    assert not none.flip.any()
    assert both.flip.any()


def test_unknown_augment_lists_the_choices():
    with pytest.raises(UsageError, match=r"data.augment=mixup: choices: none, crop, crop_flip"):
        epoch_table(0, 0, 10, 4, "mixup")


def test_evaluation_order_is_one_fixed_shuffle():
    """Test sets are sorted by class: in that order a batch would hold one class."""
    order = evaluation_order(1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert torch.equal(order, evaluation_order(1000))
    labels = torch.arange(1000) // 100
    assert all(len(set(labels[order[i : i + 50]].tolist())) >= 6 for i in range(0, 1000, 50))


def random_split(images: int = 20, height: int = 7, width: int = 5, channels: int = 3) -> Split:
    draw = torch.Generator().manual_seed(0)
    shape = (images, height, width, channels)
    return Split(torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw), torch.arange(images) % 4)


MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def reference(image: torch.Tensor, dy: int, dx: int, flip: bool, padding: int) -> torch.Tensor:
    """One image pixel by pixel: pad with black, cut out, mirror, scale to 0…1, normalize. (C, H, W)."""
    height, width, channels = image.shape
    out = torch.empty(channels, height, width, dtype=torch.float64)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                source_y = y + dy - padding
                source_x = (width - 1 - x if flip else x) + dx - padding
                inside = 0 <= source_y < height and 0 <= source_x < width
                value = image[source_y, source_x, c].item() / 255 if inside else 0.0
                out[c, y, x] = (value - MEAN[c]) / STD[c]
    return out


@pytest.mark.parametrize("augment", ["none", "crop", "crop_flip"])
@pytest.mark.parametrize("padding", [0, 2, 8])
def test_batch_equals_augmenting_image_by_image(augment, padding):
    """Not square, and padded by more than the image's side: mixed-up axes would show."""
    split = random_split()
    feed = ResidentFeed(split, MEAN, STD, padding, augment, "cpu", torch.float64)
    table = epoch_table(5, 1, len(split), padding, augment)
    x, y = feed.batches(table, slice(3, 19))
    assert x.shape == (16, 3, 7, 5)
    for i, position in enumerate(range(3, 19)):
        image = int(table.order[position])
        draws = int(table.dy[position]), int(table.dx[position]), bool(table.flip[position])
        assert torch.allclose(x[i], reference(split.images[image], *draws, padding), atol=1e-12)
        assert y[i] == split.labels[image]


def test_chunks_do_not_change_the_images():
    """An image's draws belong to its position in the epoch, not to its batch."""
    split = random_split()
    feed = ResidentFeed(split, MEAN, STD, 2, "crop_flip", "cpu")
    table = epoch_table(0, 0, len(split), 2, "crop_flip")
    whole, labels = feed.batches(table, slice(0, 20))
    ones = [feed.batches(table, slice(i, i + 1)) for i in range(20)]
    picked, _ = feed.batches(table, torch.tensor([7, 3]))
    assert torch.equal(whole, torch.cat([x for x, _ in ones]))
    assert torch.equal(labels, torch.cat([y for _, y in ones]))
    assert torch.equal(picked, whole[[7, 3]])


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_batches_are_channels_last_also_when_sliced(augment):
    """Else every convolution would copy its input."""
    split = random_split(images=64, height=8, width=8)
    feed = ResidentFeed(split, MEAN, STD, 1, augment, "cpu")
    x, _ = feed.batches(epoch_table(0, 0, 64, 1, augment), slice(0, 64))
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x[8:16].is_contiguous(memory_format=torch.channels_last)


def test_plain_gives_the_images_as_they_are_and_leaves_them_so():
    split = random_split()
    before = split.images.clone()
    feed = ResidentFeed(split, MEAN, STD, 4, "crop_flip", "cpu", torch.float64)
    x, y = feed.plain(slice(4, 9))
    some, labels = feed.plain(evaluation_order(20)[:5])
    assert torch.allclose(x[0], reference(split.images[4], 0, 0, False, 0), atol=1e-12)
    assert torch.equal(y, split.labels[4:9])
    assert torch.equal(labels, split.labels[evaluation_order(20)[:5]])
    assert some.shape == (5, 3, 7, 5)
    assert torch.equal(split.images, before)


def test_feed_on_the_cpu_does_not_copy_the_shared_images():
    split = random_split()
    feed = ResidentFeed(split, MEAN, STD, 4, "crop", "cpu")
    assert feed.images.data_ptr() == split.images.data_ptr()
    assert len(feed) == 20


def test_a_subset_shares_the_images_it_is_from():
    """Every worker of a sweep over a subset would hold a copy of its own."""
    split = random_split()
    indices = torch.tensor([3, 5, 11, 17])
    subset = split.take(indices)
    feed = ResidentFeed(subset, MEAN, STD, 2, "crop", "cpu")
    assert feed.images.data_ptr() == split.images.data_ptr()
    assert torch.equal(subset.images, split.images[indices])
    assert torch.equal(subset.take(torch.tensor([2, 0])).images, split.images[[11, 3]])
    copied = ResidentFeed(Split(subset.images, subset.labels), MEAN, STD, 2, "crop", "cpu")
    table = epoch_table(0, 0, 4, 2, "crop")
    for way in (lambda f: f.batches(table, slice(1, 4)), lambda f: f.plain(slice(1, 3))):
        for ours, theirs in zip(way(feed), way(copied), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(5, 8, 6, 1), (1, 8, 8, 1), (3, 4, 6, 3), (2, 1, 1, 4)])
def test_normalized_images_are_those_of_the_formula_bit_for_bit(shape):
    """Every number of every run would move."""
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draws)
    before = images.clone()
    mean, scale = 200 * torch.rand(shape[-1], generator=draws), torch.rand(shape[-1], generator=draws)
    normalized = normalize(images, mean, scale)
    assert torch.equal(normalized, (images.float() - mean).mul(scale).permute(0, 3, 1, 2))
    assert normalized.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
