"""Class-balanced subsets."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnrepro.config.errors import UsageError
from bnrepro.data.subset import balanced_subset

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(torch.tensor)


@given(LABELS, st.data())
def test_classes_are_as_equal_as_they_can_be(labels, data):
    """An unbalanced subset would make some classes harder, differently for every seed."""
    size = data.draw(st.integers(1, len(labels)))
    indices = balanced_subset(labels, size, seed=data.draw(st.integers(0, 9)))
    assert indices.tolist() == sorted(set(indices.tolist()))
    assert len(indices) == size
    have = torch.bincount(labels, minlength=6)
    taken = torch.bincount(labels[indices], minlength=6)
    unfinished = taken[taken < have]
    # A class with images left has at most one image less than any other.
    assert len(unfinished) == 0 or taken.max() - unfinished.min() <= 1


@given(LABELS, st.integers(0, 2**40))
def test_depends_on_labels_and_seed_only_and_is_nested(labels, seed):
    size = (len(labels) + 1) // 2
    half = balanced_subset(labels, size, seed)
    torch.manual_seed(1)  # torch's own stream must not matter
    assert torch.equal(half, balanced_subset(labels.clone(), size, seed))
    assert set(half.tolist()) <= set(balanced_subset(labels, len(labels), seed).tolist())
    assert set(balanced_subset(labels, 1, seed).tolist()) <= set(half.tolist())


def test_another_seed_gives_another_subset():
    labels = torch.arange(1000) % 10
    subsets = {tuple(balanced_subset(labels, 100, seed).tolist()) for seed in range(20)}
    assert len(subsets) == 20


@pytest.mark.parametrize("size", [-1, 0, 8])
def test_impossible_size_names_both_numbers(size):
    with pytest.raises(UsageError, match=rf"train_subset={size}:.* 7 images"):
        balanced_subset(torch.zeros(7, dtype=torch.int64), size, 0)
