"""A user would read a config whose comments belong to other keys, or that is not YAML any more."""

from pathlib import Path

import yaml

from bnrepro.config.compose import comments_of, compose_config
from bnrepro.config.convert import to_dict
from bnrepro.config.files import read_config_file
from bnrepro.config.to_yaml import to_yaml

FILE = """\
# @package _global_
# What it is,
# in two lines.
name: a
plain: 1
beside: "# no comment"    # the comment
going_on: [1, 2]          # first line
                          # second line
# above
# the key
below:
  inner: null             # of the inner key
group:                    # of the group
  key: x
"""


def test_comments_are_found_beside_below_and_above(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(FILE)
    file = read_config_file(tmp_path / "a.yaml")
    assert file.header == ("What it is,", "in two lines.")
    assert file.comments == {
        "beside": "the comment",
        "going_on": "first line second line",
        "below": "above the key",
        "below.inner": "of the inner key",
        "group": "of the group",
    }


def test_a_file_has_the_keys_and_comments_of_those_it_builds_on(tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text("# Base.\na: 1  # of a\nb: 2  # of b\n")
    (tmp_path / "mine.yaml").write_text("# Mine.\ndefaults:\n  - _base\nb: 3  # anew\n")
    file = read_config_file(tmp_path / "mine.yaml")
    assert (file.header, file.values) == (("Mine.",), {"a": 1, "b": 3})
    assert file.comments == {"a": "of a", "b": "anew"}


def test_a_commented_config_is_still_that_config() -> None:
    overrides = ["experiment=cifar10_quick", "norm=brn", "launcher=slurm", "data.root='/tmp/é: #x'"]
    values = to_dict(compose_config(overrides))
    text = to_yaml(values, comments_of(overrides))
    assert yaml.safe_load(text) == values
    line = next(line for line in text.splitlines() if "train_subset" in line)
    assert line.endswith("# 5 × 2048: every batch size and 8 workers see the same images")
    assert "    r_max: 3.0            # largest ratio" in text
