"""Names of norms in figures: `auto` groups would be named wrongly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bnrepro.analysis.names import auto_groups, model_label, norm_names
from bnrepro.models import build_model


@pytest.mark.parametrize("model", ["resnet8", "resnet20", "resnet18", "resnet50"])
def test_auto_groups_are_what_the_network_has(model: str) -> None:
    with torch.device("meta"):
        network = build_model(model, norm="gn", num_classes=10)
    groups = {module.num_groups for module in network.modules() if isinstance(module, nn.GroupNorm)}
    assert groups == {auto_groups(model)}


def test_groups_of_an_unknown_network_are_not_named() -> None:
    plan = {"norms": ["gn"], "norm_options": {"gn": {"groups": "auto"}}, "base": {"model": {"name": "mine"}}}
    assert norm_names([plan])("gn") == "Group norm"


def test_a_users_norm_has_the_label_of_its_yaml_or_its_name() -> None:
    plan = {
        "norms": ["mine", "yours"],
        "norm_options": {"mine": {"alpha": 2}},
        "norm_labels": {"mine": "My norm ({alpha})", "yours": None},
    }
    names = norm_names([plan])
    assert (names("mine"), names("yours"), names("elsewhere")) == ("My norm (2)", "yours", "elsewhere")
    assert norm_names([plan], "config")("mine") == "mine"


def test_networks_are_written_as_papers_write_them() -> None:
    assert model_label("resnet20") == "ResNet-20"
