"""torchvision's ResNets with our norms: the same networks, so that published weights and numbers apply."""

import sys
from functools import partial
from subprocess import run

import pytest
import torch
from torch import nn

from bnrepro.models import build_model, residual_blocks
from bnrepro.norms import NORMS, NormLayers

DEPTHS = (18, 34, 50, 101)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("depth", DEPTHS)
def test_as_many_parameters_as_torchvisions(depth: int) -> None:
    import torchvision.models

    with torch.device("meta"):
        ours = build_model(f"resnet{depth}", norm="bn", num_classes=1000)
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    assert parameters(ours) == parameters(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_the_outputs_are_torchvisions_with_its_weights(depth: int, norm: str) -> None:
    """Users load published weights, and compare their error with published ones."""
    import torchvision.models

    layer = {"bn": nn.BatchNorm2d, "gn": partial(nn.GroupNorm, 32)}[norm]
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f"resnet{depth}")(norm_layer=layer, num_classes=10)
    ours = build_model(f"resnet{depth}", norm=norm, num_classes=10)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 3, 64, 64)
    for training in (True, False):
        assert torch.equal(ours.train(training)(x), theirs.train(training)(x))
    for name, buffer in theirs.named_buffers():
        assert torch.equal(ours.get_buffer(name), buffer), name


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_norm_trains_in_it(norm: str) -> None:
    """A norm with its own convolution, activation or initialization works in the ImageNet models too."""
    torch.manual_seed(0)
    model = build_model("resnet18", norm=norm, num_classes=5, zero_init_last=True)
    x = torch.randn(4, 3, 48, 48)
    loss = nn.functional.cross_entropy(model(x), torch.arange(4))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.parameters())
    assert len(residual_blocks(model)) == 8


def test_none_has_biases_and_starts_every_block_as_the_identity() -> None:
    """Without them the no-norm arm would silently lose parameters, and would not train."""
    model = build_model("resnet50", norm="none", num_classes=5)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 53
    assert all(conv.bias is not None and not conv.bias.any() for conv in convs)
    block = residual_blocks(model)[1]
    x = torch.rand(2, 256, 8, 8)
    assert torch.equal(block(x), x)


def test_the_last_norm_of_a_block_starts_at_zero_and_the_shortcuts_does_not() -> None:
    model = build_model("resnet50", norm="bn", num_classes=5, zero_init_last=True)
    zero = {name for name, p in model.named_parameters() if name.endswith("weight") and not p.any()}
    assert zero == {f"layer{s}.{i}.bn3.weight" for s, n in enumerate((3, 4, 6, 3), 1) for i in range(n)}


def test_group_norm_has_32_groups_and_says_which_channels_do_not_divide() -> None:
    model = build_model("resnet18", norm="gn", num_classes=5)
    assert {m.num_groups for m in model.modules() if isinstance(m, nn.GroupNorm)} == {32}
    with pytest.raises(ValueError, match=r"48.*64"):
        build_model("resnet18", norm=NormLayers(NORMS["gn"], {"groups": 48}))


def test_no_block_follows_its_last_norm_or_shortcut_with_an_activation() -> None:
    """EvoNorm and FRN bring an activation, which must not stand in front of the addition."""
    seen = []

    def spy(num_channels: int, *, activated: bool = True, ends_branch: bool = False) -> nn.Module:
        seen.append((num_channels, activated, ends_branch))
        return nn.Identity()

    model = build_model("resnet18", norm=NormLayers(spy), num_classes=5)
    assert not any(activated for _, activated, ends_branch in seen if ends_branch)
    shortcuts = [b.downsample for b in residual_blocks(model) if b.downsample is not None]
    assert len(shortcuts) == 3
    assert sum(not activated and not ends for _, activated, ends in seen) == 3


def test_naming_the_models_does_not_import_torchvision() -> None:
    """It takes seconds, and most runs do not need it."""
    code = "import sys; from bnrepro.models import MODELS; print('resnet50' in MODELS, *sys.modules)"
    there, *modules = run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert there == "True"
    assert "torchvision" not in modules
