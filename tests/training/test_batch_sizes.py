"""A user would read `batch_size` on the x axis and get other groups of images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.norms import NORMS, traits_of
from bnrepro.training.batch_sizes import BatchSizes, batch_sizes, steps_per_epoch
from bnrepro.training.session import norm_layers, normalization_batch

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


def test_statistics_may_come_from_more_images_than_the_loss():
    protocol = compose_config(["protocol.norm_batch_size=12"]).protocol
    sizes = batch_sizes(protocol, 4)
    assert sizes == BatchSizes(workers=1, sgd_batch_size=4, norm_batch_size=12)
    assert (sizes.step_images, batch_sizes(COUPLED, 4).step_images) == (12, 4)
    assert batch_sizes(WORKERS, 4).step_images == 32
    assert steps_per_epoch(12, sizes) == 3
    with pytest.raises(UsageError, match="at most the 11 training images"):
        steps_per_epoch(11, sizes)
    with pytest.raises(UsageError, match=r"batch_size=13: must be at most protocol.norm_batch_size=12"):
        batch_sizes(protocol, 13)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["protocol=workers", "+protocol.norm_batch_size=8"],
            "only coupled has it; in workers it is batch_size",
        ),
        (["protocol.norm_batch_size=64", "micro_batch_size=8"], "leave micro_batch_size out"),
        (["protocol.norm_batch_size=0"], "must be 1 or more"),
    ],
)
def test_where_more_images_for_the_statistics_make_no_sense_a_line_says_so(overrides, says):
    with pytest.raises(UsageError, match=says):
        compose_config(overrides)


PROTOCOLS = [[], ["protocol=workers"], ["protocol=fixed_sgd"], ["protocol.norm_batch_size=12"]]


@pytest.mark.parametrize("overrides", PROTOCOLS, ids=str)
@pytest.mark.parametrize("name", sorted(NORMS))
def test_a_plan_and_a_run_know_the_same_normalization_batch(name, overrides):
    """Else sweep.json and --dry-run would say another one than result.json."""
    config = compose_config([f"norm={name}", "batch_size=4", *overrides])
    asks = traits_of(NORMS[name])
    planned = batch_sizes(config.protocol, 4, asks.all_workers)
    protocols = batch_sizes(config.protocol, 4)
    layers = nn.ModuleList([norm_layers(config, protocols).with_context(default_groups=8).norm(16)])
    assert (planned.workers, planned.sgd_batch_size) == (protocols.workers, protocols.sgd_batch_size)
    assert planned.norm_batch_size == normalization_batch(layers, protocols)
