"""What a reader calls norms and models, instead of what the command line calls them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bnrepro.config.labels import norm_label, packaged_label

LABELS = ("names", "config")
"""What `--labels` takes: names a reader knows, or the config's."""
AUTO_GROUPS = {r"resnet(8|14|20|32|44|56|110)": 8, r"resnet\d+": 32}
"""What `groups: auto` is in a model, by the first pattern that fits: the packages of models say so."""

Names = Callable[[str], str]
"""From a norm's name in the config to the one in the figure."""


def norm_names(plans: list[Mapping[str, Any]], kind: str = LABELS[0]) -> Names:
    """The names of the norms of `sweep.json` files; `kind` is one of `LABELS`."""
    if kind == "config":
        return str
    known = {norm: _name(norm, plan) for plan in reversed(plans) for norm in plan.get("norms", ())}
    return lambda norm: known.get(norm) or norm_label(packaged_label(norm), norm, {})


def model_label(name: str) -> str:
    """`resnet20` as papers write it."""
    return re.sub(r"\bresnet(\d+)", r"ResNet-\1", name)


def _name(norm: str, plan: Mapping[str, Any]) -> str:
    options = dict(plan.get("norm_options", {}).get(norm, {}))
    if options.get("groups") == "auto":
        options["groups"] = auto_groups(str(plan.get("base", {}).get("model", {}).get("name")))
    template = plan.get("norm_labels", {}).get(norm) or packaged_label(norm)
    return norm_label(template, norm, options)


def auto_groups(model: str) -> int | None:
    """How many groups `auto` means in a model of the package; None for others."""
    return next((groups for name, groups in AUTO_GROUPS.items() if re.fullmatch(name, model)), None)
