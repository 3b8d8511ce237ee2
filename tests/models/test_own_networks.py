"""A user would lose their own network: not built, or silently without the norm that the figure names."""

import pytest
import torch
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.models import build_model
from bnrepro.norms.batch_statistics import batch_statistics_layers

OWN = """
from torch import nn

class Plain(nn.Module):
    def __init__(self, num_classes, in_channels, width=8):
        super().__init__()
        conv = nn.Conv2d(in_channels, width, 3, bias=False)
        self.body = nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))

def with_norm_layer(norm_layer, *, num_classes, in_channels):
    model = Plain(num_classes, in_channels)
    model.body[1] = norm_layer(8)
    return model

def forgetful(norm_layer, **arguments):
    return Plain(**arguments)

def with_layers(layers, *, num_classes, in_channels):
    body = nn.Sequential(layers.conv(in_channels, 8, 3), layers.norm(8), layers.activation())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))

def without_norm(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, num_classes))
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "my_net.py"
    file.write_text(OWN)
    return file


@pytest.mark.parametrize("make", ["Plain", "with_norm_layer", "with_layers"])
@pytest.mark.parametrize("norm", ["bn", "gn", "bn_frozen"])
def test_every_kind_of_factory_gets_the_norm(path, make, norm):
    model = build_model("own", norm=norm, num_classes=4, factory=f"{path}:{make}")
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 4)
    assert bool(batch_statistics_layers(model)) is (norm != "gn")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_a_network_built_with_layers_takes_every_norm(path):
    for norm in ("none", "evonorm_s0", "gn_ws"):
        assert (
            build_model("own", norm=norm, factory=f"{path}:with_layers")(torch.randn(2, 3, 8, 8)).numel()
            == 20
        )


def test_seeds_are_paired_over_norms(path):
    weights = []
    for norm in ("bn", "gn"):
        torch.manual_seed(3)
        weights.append(build_model("own", norm=norm, factory=f"{path}:Plain").head.weight)
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        ("with_norm_layer", {"norm": "none"}, "model=own: this norm needs biases"),
        ("forgetful", {}, "model=own: body.1 is torch's batch norm; make every norm by norm_layer"),
        ("without_norm", {}, "has no batch norm of torch's to replace"),
        ("with_layers", {"norm": "fixup"}, "model=own: has no residual blocks .* initialization"),
        ("Plain", {"zero_init_last": True}, "model=own: has no residual blocks .*model.zero_init_last=true"),
        ("Plain", {"widht": 3}, r"model\.widht: no such key; did you mean width"),
    ],
)
def test_what_a_network_does_not_have_is_an_error(path, make, options, message):
    with pytest.raises(UsageError, match=message):
        build_model("own", factory=f"{path}:{make}", **options)
