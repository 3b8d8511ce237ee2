"""Names of norms in figures: a reader would read another norm, or signs of a template."""

from __future__ import annotations

import pytest
import yaml

from bnrepro.config.compose import compose_config
from bnrepro.config.identity import config_hash
from bnrepro.config.labels import norm_label, packaged_label
from bnrepro.config.paths import config_directory

NORMS = sorted(path.stem for path in (config_directory() / "norm").glob("*.yaml"))


@pytest.mark.parametrize(
    ("template", "options", "label"),
    [
        ("Group norm ({groups} groups)", {"groups": 4}, "Group norm (4 groups)"),
        ("Group norm ({groups} groups)", {"groups": "auto"}, "Group norm"),
        ("No norm ({skip_init?SkipInit})", {"skip_init": True}, "No norm (SkipInit)"),
        ("No norm ({skip_init?SkipInit})", {"skip_init": False}, "No norm"),
        ("Batch norm (gradients by hand)", {}, "Batch norm (gradients by hand)"),
        ("{eps} 100 % {nobody}", {"eps": 1e-5}, "1e-05 100 % "),
        (None, {}, "mine"),
    ],
)
def test_a_label_has_the_options_that_are_set(template, options, label: str) -> None:
    assert norm_label(template, "mine", options) == label


@pytest.mark.parametrize("name", NORMS)
def test_every_norm_of_the_package_has_a_label_of_its_own(name: str) -> None:
    config = compose_config([f"norm={name}"]).norm
    assert packaged_label(name) == config.label
    label = norm_label(config.label, name, config.options)
    assert "{" not in label
    others = [norm_label(packaged_label(other), other, {}) for other in NORMS if other != name]
    assert label not in others


def test_a_norm_that_nobody_knows_has_none() -> None:
    assert packaged_label("mine") is None


def test_a_users_norm_brings_its_label_and_the_label_changes_no_number(tmp_path) -> None:
    (tmp_path / "norm").mkdir()
    values = {"name": "mine", "factory": "torch.nn:BatchNorm2d", "momentum": 0.2}
    hashes = set()
    for label in (None, "Mine ({momentum})"):
        text = yaml.safe_dump(values | ({"label": label} if label else {}))
        (tmp_path / "norm" / "mine.yaml").write_text(text)
        config = compose_config(["norm=mine"], tmp_path)
        assert config.norm.label == label
        hashes.add(config_hash(config))
    assert len(hashes) == 1
