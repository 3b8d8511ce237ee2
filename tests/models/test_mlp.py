"""A claim about fully connected networks would be tested on other networks."""

import math

import pytest
import torch
from tiny_runs import tiny_run
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.models import build_model

FOR_VECTORS = ("bn", "bn_derived", "bn_frozen", "bn_noisy", "bn_sync", "brn", "gn", "ln", "none")


def test_the_norm_stands_between_the_linear_layer_and_the_activation():
    model = build_model("mlp", norm="bn", in_channels=1, depth=2, width=16, activation="tanh")
    x = torch.randn(8, 1, 8, 8)
    first = model.hidden[0]
    by_hand = torch.tanh(
        nn.functional.batch_norm(x.flatten(1) @ first.linear.weight.T, None, None, training=True)
    )
    torch.testing.assert_close(first(x.flatten(1)), by_hand)
    assert first.linear.bias is None
    assert len(model.hidden) == 2


@pytest.mark.parametrize(
    ("init", "sd"), [("xavier", math.sqrt(2 / 164)), ("kaiming", math.sqrt(2 / 64)), ("unit", 1.0)]
)
def test_weights_start_with_the_standard_deviation_asked_for(init, sd):
    torch.manual_seed(0)
    model = build_model("mlp", norm="none", in_channels=1, width=100, init=init, init_gain=3.0)
    first = model.hidden[0].linear
    assert first.weight.std().item() == pytest.approx(3 * sd, rel=0.05)
    assert first.bias.abs().max() == 0


@pytest.mark.parametrize("norm", FOR_VECTORS)
def test_norms_that_can_train_one(norm, tmp_path):
    result = tiny_run(
        tmp_path, "model=mlp", "model.depth=2", "model.width=32", f"norm={norm}", "optimizer.base_lr=0.2"
    )
    assert result["status"] == "completed", result["message"]


@pytest.mark.parametrize("norm", ["in", "gn_ws", "fixup", "nf", "frn", "mabn", "evonorm_b0"])
def test_norms_that_need_convolutions_are_refused_in_a_line(norm):
    with pytest.raises(UsageError, match="is made for convolutions") as refused:
        build_model("mlp", norm=norm, in_channels=1)
    assert "\n" not in str(refused.value)


def test_a_seed_has_the_same_weights_with_and_without_dropout():
    def weights(rate):
        torch.manual_seed(0)
        return build_model("mlp", norm="bn", in_channels=1, dropout=rate).state_dict()

    with_it, without = weights(0.5), weights(0.0)
    assert all(torch.equal(value, without[key]) for key, value in with_it.items())
