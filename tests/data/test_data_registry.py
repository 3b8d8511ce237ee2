"""Data sets by name, and what every one of them must hold."""

import dataclasses

import pytest
import torch

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.config.files import choices
from bnrepro.data import DATA, load_data, register


@pytest.mark.parametrize("name", sorted(DATA))
def test_every_data_set_has_a_complete_yaml(name):
    """A missing key would make `data=NAME` fail to compose."""
    assert compose_config([f"data={name}"]).data.name == name


def test_what_data_sets_have_in_common_is_not_a_choice():
    """`data=_base` in a list of choices would be a data set without a name."""
    assert choices("data") == sorted(DATA)


def test_unknown_name_lists_the_choices(data_config):
    config = dataclasses.replace(data_config("digits"), name="mnist")
    with pytest.raises(UsageError, match=r"data=mnist: choices: .*cifar10.*digits"):
        load_data(config)


def test_two_data_sets_of_one_name_are_refused():
    with pytest.raises(ValueError, match="data=digits: is registered twice"):
        register("digits")(lambda config: None)
    assert DATA["digits"].__name__ == "load_digits"


def test_second_cell_in_a_worker_gets_the_loaded_set(data_config):
    assert load_data(data_config("digits")) is load_data(data_config("digits"))


def test_subset_keeps_test_set_and_normalization_of_the_whole_set(data_config):
    """Else an error from a subset would not be comparable with one from the whole set."""
    whole = load_data(data_config("digits"))
    part = load_data(data_config("digits", train_subset=200))
    assert len(part.train) == 200
    assert torch.bincount(part.train.labels).tolist() == [20] * 10
    assert part.test is whole.test or torch.equal(part.test.images, whole.test.images)
    assert (part.mean, part.std) == (whole.mean, whole.std)


def test_subset_larger_than_the_set_names_both_numbers(data_config):
    with pytest.raises(UsageError, match=r"data.train_subset=5000.*1437"):
        load_data(data_config("digits", train_subset=5000))
