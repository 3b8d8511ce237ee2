"""A user would train another network than the paper's."""

import pytest
import torch
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.models import MODELS, build_model, residual_blocks
from bnrepro.models.cifar_resnet import IdentityShortcut
from bnrepro.norms import NormLayers, find_factory


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("depth", "count"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_parameter_counts_are_those_of_he_et_al_2016_table_6(depth, count):
    """0.27, 0.46, 0.66, 0.85 and 1.7 million."""
    assert parameters(build_model(f"resnet{depth}")) == count


@pytest.mark.parametrize("depth", [8, 20, 110])
def test_depth_counts_convolutions_and_the_classifier(depth):
    model = build_model(f"resnet{depth}")
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth
    assert len(residual_blocks(model)) == (depth - 2) // 2


@pytest.mark.parametrize("size", [4, 8, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_takes_digits_and_cifar_images(size, channels):
    model = build_model("resnet8", num_classes=7, in_channels=channels)
    assert model(torch.randn(2, channels, size, size)).shape == (2, 7)


def test_identity_shortcut_halves_the_map_and_pads_channels_with_zeros():
    x = torch.randn(2, 4, 6, 6)
    y = IdentityShortcut(stride=2, new_channels=4)(x)
    assert y.shape == (2, 8, 3, 3)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert not y[:, :2].any()
    assert not y[:, 6:].any()


def test_projection_adds_two_convolutions_with_their_norms():
    extra = parameters(build_model("resnet20", shortcut="projection")) - parameters(build_model("resnet20"))
    assert extra == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def test_no_member_lies_about_the_norm_it_holds():
    names = {name.rpartition(".")[2] for name, _ in build_model("resnet8", norm="gn").named_modules()}
    assert {"norm", "norm1", "norm2"} <= names
    assert not any(name.startswith("bn") for name in names)


def test_group_norm_has_8_groups_of_16_channels_and_more():
    groups = {
        m.num_groups for m in build_model("resnet8", norm="gn").modules() if isinstance(m, nn.GroupNorm)
    }
    assert groups == {8}


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_zero_init_last_zeroes_the_branch_ends_and_nothing_else(norm):
    ones = build_model("resnet8", norm=norm)
    zeros = build_model("resnet8", norm=norm, zero_init_last=True)
    assert all(block.last_norm().weight.eq(1).all() for block in residual_blocks(ones))
    assert all(block.last_norm().weight.eq(0).all() for block in residual_blocks(zeros))
    assert all(block.norm1.weight.eq(1).all() for block in residual_blocks(zeros))


def test_zero_init_last_passes_norms_without_a_weight():
    assert build_model("resnet8", norm="none", zero_init_last=True) is not None


def test_zero_init_last_refuses_a_weight_that_would_stay_at_zero():
    layers = NormLayers(find_factory("bn"), {"affine": "bias"})
    with pytest.raises(UsageError, match=r"model\.zero_init_last=true: .*norm\.affine"):
        build_model("resnet8", norm=layers, zero_init_last=True)


def test_weights_are_drawn_by_fan_out():
    torch.manual_seed(0)
    weight = build_model("resnet8").blocks[2].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_a_plain_factory_is_a_norm_too():
    model = build_model("resnet8", norm=lambda channels: nn.GroupNorm(1, channels))
    assert isinstance(model.norm, nn.GroupNorm)


def test_unknown_model_is_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"model=resnet9: choices: .*resnet8") as error:
        build_model("resnet9")
    assert "\n" not in str(error.value)


def test_unknown_option_is_refused_with_the_choices():
    with pytest.raises(
        UsageError, match=r"model\.width: no such key; choices: first_stride, init_gain, shortcut"
    ):
        build_model("resnet8", width=2)


def test_unknown_shortcut_is_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"model\.shortcut=b: choices: identity, projection"):
        build_model("resnet8", shortcut="b")


def test_every_depth_of_the_paper_is_there():
    assert {f"resnet{depth}" for depth in (8, 20, 32, 44, 56, 110)} <= set(MODELS)


def test_a_first_stride_of_2_leaves_one_pixel_of_8_in_the_last_stage():
    model, seen = build_model("resnet8", in_channels=1, first_stride=2), []
    model.blocks.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    assert seen == [(2, 64, 1, 1)]


def test_a_first_stride_of_nothing_is_refused():
    with pytest.raises(UsageError, match=r"model\.first_stride=0: must be 1 or more"):
        build_model("resnet8", first_stride=0)
