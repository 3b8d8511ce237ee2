"""A user's own norm or network would train something else than the figure says, without a word."""

import pytest
import torch
from tiny_runs import TINY, call, tiny_config
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.data import load_data
from bnrepro.norms import Traits, build_norm
from bnrepro.training.first_look import check_buffers, check_output, check_traits, draws_random_numbers
from bnrepro.training.position import Position
from bnrepro.training.session import Session

X = torch.randn(4, 3, 6, 6)


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value(x)


def around(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda x: (x, x), "returns a tuple; it must return the logits alone"),
        (lambda x: {"out": x}, "returns a dictionary; it must return the logits alone"),
        (lambda x: x, r"returns \(4, 3, 6, 6\) for 4 images; it must return \(4, 5\)"),
    ],
)
def test_a_network_that_returns_something_else_than_logits_says_what_to_return(value, message):
    with pytest.raises(UsageError, match=message):
        check_output(Returns(value), X, 5)


def test_logits_are_what_is_wanted():
    check_output(around(nn.Identity()), X, 5)


def test_a_norm_that_says_it_sees_no_batch_and_does_is_refused():
    with pytest.raises(UsageError, match="norm=mine: says that it sees one image at a time"):
        check_traits(around(nn.BatchNorm2d(4)), Traits(), X, "mine")
    check_traits(around(nn.GroupNorm(2, 4)), Traits(), X, "mine")


def test_a_norm_that_says_it_sees_the_batch_must_be_one_that_evaluation_knows():
    with pytest.raises(UsageError, match="norm=mine: says that it uses statistics over images"):
        check_traits(around(nn.BatchNorm2d(4)), Traits(batch_statistics=True), X, "mine")
    check_traits(around(build_norm("bn", 4)), Traits(batch_statistics=True), X, "mine")


def test_dropout_does_not_look_like_a_batch():
    check_traits(around(nn.Dropout()), Traits(), X, "mine")


def test_a_buffer_that_changes_must_say_what_it_is():
    with pytest.raises(UsageError, match=r"the network's buffer 1\.running_mean changes in training"):
        check_buffers(around(nn.BatchNorm2d(4)), X)
    check_buffers(around(build_norm("mabn", 4)), X)


def test_looking_changes_nothing():
    model, still = around(nn.Sequential(build_norm("bn", 4), nn.Dropout())), around(build_norm("bn", 4))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    assert draws_random_numbers(model, X)
    assert not draws_random_numbers(still, X)
    check_output(model, X, 5)
    check_buffers(model, X)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_torchs_own_batch_norm_is_bn():
    """It was planned as a norm that sees no batch, and trained once for all batch sizes."""
    session = prepared("norm=bn", "+norm.factory=torch.nn:BatchNorm2d")
    assert session.traits.batch_statistics
    assert session.evaluator.norm_batch_size == 16


NETWORK = """
from torch import nn

def make(num_classes, in_channels):
    body = nn.Sequential(nn.Conv2d(in_channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))
"""


def prepared(*overrides, config_dir=None):
    config = tiny_config(*overrides, config_dir=config_dir)
    return Session.prepare(config, load_data(config.data), torch.device("cpu"))


def test_a_run_with_dropout_draws_the_same_after_an_interruption(tmp_path):
    """Its random numbers come from the step's own seed, not from what was drawn before."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text("factory: net.py:make\n")
    (tmp_path / "model" / "net.py").write_text(NETWORK)
    losses = []
    for disturbance in (0, 7):
        session, position = prepared("model=own", config_dir=tmp_path), Position()
        session.trainer.train_epoch(session.table(0), position, lambda chunk, n=disturbance: torch.rand(n))
        losses.append(position.losses())
    assert session.draws
    assert torch.equal(*losses)


def test_dropout_is_refused_in_lockstep(tmp_path):
    """`vmap` would stop in the middle of a step, with words of its own."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text("factory: net.py:make\n")
    (tmp_path / "model" / "net.py").write_text(NETWORK)
    arguments = ("--config-dir", str(tmp_path), "--norms", "bn", "--batch-sizes", "16", "--seeds", "0,1")
    overrides = [override for override in TINY if not override.startswith("batch_size")]
    out = ("--out", str(tmp_path / "sweep"), "--lockstep", "2")
    ended = call("sweep", "batch-size", *overrides, "model=own", *arguments, *out)
    assert ended.code == 2
    assert "--lockstep 2: model=own has dropout, which a cell can only draw alone" in ended.err
