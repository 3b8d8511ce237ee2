"""A user would lose the arm that BN is compared with."""

import pytest
import torch

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm


def test_it_is_the_papers_formula():
    torch.manual_seed(0)
    layer = build_norm("gn", 6, groups=3).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    x = torch.randn(4, 6, 3, 3, dtype=torch.float64)
    groups = x.view(4, 3, 2, 3, 3)
    mean = groups.mean((2, 3, 4), keepdim=True)
    var = groups.var((2, 3, 4), correction=0, keepdim=True)
    hand = ((groups - mean) / (var + 1e-5).sqrt()).view_as(x)
    hand = hand * layer.weight.view(-1, 1, 1) + layer.bias.view(-1, 1, 1)
    assert torch.allclose(layer(x), hand, atol=1e-12)


def test_auto_is_what_the_model_family_says():
    assert build_norm("gn", 64).num_groups == 32
    assert build_norm("gn", 64, default_groups=8).num_groups == 8
    assert build_norm("gn", 64, groups=4, default_groups=8).num_groups == 4


def test_groups_that_do_not_divide_name_both_numbers():
    with pytest.raises(UsageError, match=r"norm\.groups=32: does not divide the 16 channels") as error:
        build_norm("gn", 16, groups=32)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("groups", [0, -1, "all"])
def test_groups_that_are_no_number_are_refused(groups):
    with pytest.raises(UsageError, match=f"norm.groups={groups}: must be") as error:
        build_norm("gn", 16, groups=groups)
    assert "\n" not in str(error.value)
