"""A user would lose Fixup's rules, without which a network that has no norm explodes or starts dead."""

import pytest
import torch
from torch import nn

from bnrepro.models import build_model, residual_blocks
from bnrepro.norms import build_norm
from bnrepro.norms.fixup import FixupConv2d, fixup_initialize


def test_the_scalars_stand_where_the_paper_has_them():
    x = torch.randn(2, 4, 3, 3)
    inner, end, shortcut = build_norm("fixup", 4), build_norm("fixup", 4, ends_branch=True), None
    shortcut = build_norm("fixup", 4, activated=False)
    nn.init.constant_(inner.shift, 0.5)
    nn.init.constant_(end.shift, 0.25)
    nn.init.constant_(end.scale, 3)
    assert torch.allclose(inner(x), x + 0.5)
    assert torch.allclose(end(x), 3 * x + 0.25)
    assert torch.equal(shortcut(x), x)


def test_the_convolution_adds_its_scalar_to_its_input():
    conv = FixupConv2d(2, 3, 3, padding=1, bias=False)
    x = torch.randn(2, 2, 4, 4)
    nn.init.constant_(conv.input_bias, 0.5)
    assert torch.allclose(conv(x), nn.functional.conv2d(x + 0.5, conv.weight, padding=1))


def test_gradcheck():
    torch.manual_seed(0)
    layers = nn.Sequential(FixupConv2d(2, 2, 2), build_norm("fixup", 2, ends_branch=True)).double()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layers, (x,))


def test_branches_start_at_zero_and_their_first_convolutions_are_scaled_by_the_depth():
    torch.manual_seed(0)
    plain = build_model("resnet20", norm="bn")
    torch.manual_seed(0)
    fixup = build_model("resnet20", norm="fixup")
    for before, after in zip(residual_blocks(plain), residual_blocks(fixup), strict=True):
        assert torch.allclose(after.conv1.weight, before.conv1.weight * 9**-0.5)
        assert not after.conv2.weight.any()
    assert not fixup.classifier.weight.any()
    assert not fixup.classifier.bias.any()


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
def test_a_block_shares_its_first_scalar_with_a_shortcut_that_changes_the_shape(shortcut):
    """As the authors' code does; without it the two paths would start from different activations."""
    torch.manual_seed(0)
    block = residual_blocks(build_model("resnet8", norm="fixup", shortcut=shortcut))[1]
    x = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        block.enter.shift.fill_(0.5)
        after = block(x)
        block.enter.shift.zero_()
        assert torch.allclose(after, block(x + 0.5), atol=1e-6)
    assert not torch.allclose(after, block(x), atol=1e-2)


def test_the_first_convolution_the_shortcut_and_a_blocks_first_have_no_scalar_of_their_own():
    for name, options in (("resnet8", {"shortcut": "projection"}), ("resnet50", {})):
        model = build_model(name, norm="fixup", **options)
        blocks = residual_blocks(model)
        further = [conv for block in blocks for conv in block.branch_convs()[1:]]
        shifted = [m for m in model.modules() if isinstance(m, FixupConv2d) and m.input_bias is not None]
        assert shifted == further
        assert all(block.enter.shift.numel() == 1 for block in blocks)


def test_a_shortcut_that_keeps_the_shape_passes_the_image_on_as_it_is():
    block = residual_blocks(build_model("resnet8", norm="fixup"))[0]
    x = torch.rand(2, 16, 8, 8)
    torch.nn.init.constant_(block.enter.shift, 0.5)
    assert torch.equal(block(x), x)  # the branch starts at 0


def test_a_branch_of_three_convolutions_is_scaled_by_the_fourth_root():
    class Bottleneck(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(2, 2, 1, bias=False) for _ in range(3))

        def branch_convs(self):
            return list(self.convs)

    model = nn.Sequential(*(Bottleneck() for _ in range(16)), nn.Linear(2, 2))
    before = [conv.weight.clone() for conv in model[0].convs]
    fixup_initialize(model, residual_blocks(model))
    after = [conv.weight for conv in model[0].convs]
    assert torch.allclose(after[0], before[0] / 2)
    assert torch.allclose(after[1], before[1] / 2)
    assert not after[2].any()
