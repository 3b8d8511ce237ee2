"""A user would ask for a choice that is in `configs/`, and get an error."""

from pathlib import Path

import pytest
import yaml

from bnrepro.config.compose import compose_config, norm_options
from bnrepro.config.convert import to_dict
from bnrepro.config.files import choices
from bnrepro.config.paths import config_directory
from bnrepro.models import MODELS
from bnrepro.norms import NORMS

GROUPS = sorted(path.name for path in config_directory().iterdir() if path.is_dir())
CHOICES = [(group, choice) for group in GROUPS for choice in choices(group)]


VARIANTS = {"fixed_sgd_64": "fixed_sgd"}
"""Choices that are another one with other sizes."""


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_of_every_group_composes(group, choice):
    config = compose_config([f"{group}={choice}"])
    named = config.experiment if group == "experiment" else to_dict(config)[group]["name"]
    assert named == VARIANTS.get(choice, choice)


def test_the_tree_has_the_groups_of_the_design():
    expected = {"data", "model", "norm", "protocol", "optimizer", "schedule", "launcher", "experiment"}
    assert expected <= set(GROUPS)


def test_every_norm_and_model_of_the_package_has_its_yaml():
    assert set(choices("norm")) == set(NORMS)
    assert set(choices("model")) == set(MODELS)


@pytest.mark.parametrize("experiment", choices("experiment"))
@pytest.mark.parametrize("protocol", choices("protocol"))
def test_every_experiment_composes_with_every_protocol(experiment, protocol):
    config = compose_config([f"experiment={experiment}", f"protocol={protocol}"])
    assert config.experiment == experiment
    assert config.protocol.name == VARIANTS.get(protocol, protocol)
    assert config.sweep.norms and config.sweep.batch_sizes and config.sweep.seeds


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_opens_with_its_command_what_to_expect_and_the_time(experiment):
    text = (config_directory() / "experiment" / f"{experiment}.yaml").read_text()
    opening = [line for line in text.splitlines() if line.startswith("#")]
    for word in ("Command:", "Expect:", "Time:"):
        assert any(word in line for line in opening), word
    assert any(f"experiment={experiment}" in line for line in opening)


@pytest.mark.parametrize(("group", "choice"), [c for c in CHOICES if c[0] == "norm"])
def test_every_option_of_a_norm_can_be_set(group, choice):
    values = yaml.safe_load((config_directory() / group / f"{choice}.yaml").read_text())
    options = norm_options(choice)
    assert options == [key for key in values if key not in ("name", "label")]
    settings = [f"norm.{key}={'null' if values[key] is None else values[key]}" for key in options]
    assert to_dict(compose_config([f"norm={choice}", *settings]))["norm"]["options"] == {
        key: values[key] for key in options
    }


def test_without_an_experiment_it_is_digits_resnet8_bn_coupled():
    config = compose_config([])
    assert (config.data.name, config.model.name) == ("digits", "resnet8")
    assert (config.norm.name, config.protocol.name) == ("bn", "coupled")
    assert (config.seed, config.threads) == (0, 1)


def test_base_lr_is_the_data_sets_unless_given():
    assert compose_config([]).optimizer.base_lr == pytest.approx(0.8)
    assert compose_config(["data=cifar10"]).optimizer.base_lr == pytest.approx(0.2)
    assert compose_config(["data=cifar10", "optimizer.base_lr=0.05"]).optimizer.base_lr == 0.05


@pytest.mark.parametrize("text", ["/tmp/mes données", "/tmp/été (2024)/α", "/tmp/it's", "2024", "a,b", "x=y"])
def test_any_text_is_a_path(text):
    value = f"data.root='{text}'" if text == "a,b" else f"data.root={text}"
    assert compose_config([value]).data.root == text


def test_a_user_adds_groups_of_their_own(tmp_path: Path):
    digits = yaml.safe_load((config_directory() / "data" / "digits.yaml").read_text())
    (tmp_path / "données" / "data").mkdir(parents=True)
    file = tmp_path / "données" / "data" / "few_digits.yaml"
    file.write_text(yaml.safe_dump({**digits, "train_subset": 50}))
    config = compose_config(["data=few_digits"], tmp_path / "données")
    assert (config.data.name, config.data.train_subset) == ("digits", 50)
    assert compose_config(["data=digits"], tmp_path / "données").data.train_subset is None


def test_a_checkout_reads_configs_at_its_root():
    assert (config_directory() / "config.yaml").is_file()


def test_a_choice_may_be_written_in_any_letters(tmp_path):
    """A user whose file names are not English would be told that an override is none."""
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "规范.yaml").write_text(
        "name: 规范\nfactory: torch.nn:BatchNorm2d\n", encoding="utf-8"
    )
    assert compose_config(["norm=规范"], tmp_path).norm.name == "规范"
