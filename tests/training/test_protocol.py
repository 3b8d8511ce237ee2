"""A user would read `batch_size` on the x axis and get other groups of images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.training.protocol import BatchSizes, batch_sizes, steps_per_epoch

COUPLED = compose_config([]).protocol
WORKERS = compose_config(["protocol=workers"]).protocol
FIXED_SGD = compose_config(["protocol=fixed_sgd"]).protocol


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (COUPLED, BatchSizes(workers=1, sgd_batch_size=4, norm_batch_size=4)),
        (WORKERS, BatchSizes(workers=8, sgd_batch_size=32, norm_batch_size=4)),
        (FIXED_SGD, BatchSizes(workers=64, sgd_batch_size=256, norm_batch_size=4)),
    ],
    ids=["coupled", "workers", "fixed_sgd"],
)
def test_the_three_protocols_at_batch_size_4(protocol, expected):
    assert batch_sizes(protocol, 4) == expected


@given(protocol=st.sampled_from([COUPLED, WORKERS, FIXED_SGD]), size=st.integers(1, 512))
def test_the_sgd_batch_is_workers_times_the_normalization_batch(protocol, size):
    try:
        sizes = batch_sizes(protocol, size)
    except UsageError as refused:
        assert protocol is FIXED_SGD
        assert 256 % size
        assert f"batch_size={size}" in str(refused)
        return
    assert sizes.norm_batch_size == size
    assert sizes.sgd_batch_size == sizes.workers * size
    if protocol is FIXED_SGD:
        assert sizes.sgd_batch_size == 256


@given(images=st.integers(1, 5000), size=st.integers(1, 300))
def test_an_epoch_drops_less_than_one_batch(images, size):
    sizes = batch_sizes(COUPLED, size)
    if size > images:
        with pytest.raises(UsageError, match=f"{images} training images"):
            steps_per_epoch(images, sizes)
        return
    assert 0 <= images - steps_per_epoch(images, sizes) * size < size
