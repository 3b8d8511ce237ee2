"""A user would compare runs of different configs, or be refused to continue one of the same."""

import pytest

from bnrepro.config.compose import compose_config
from bnrepro.config.convert import to_dataclass, to_dict
from bnrepro.config.identity import config_hash, difference
from bnrepro.config.schema import RunConfig

BASE = compose_config([])


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "batch_size=16", "epochs=9", "threads=2", "precision=bf16", "deterministic=true"),
        *("device=cpu", "data.train_subset=100", "data.augment=none", "model.shortcut=projection"),
        *("model.first_stride=2",),
        *(
            "norm.eps=0.001",
            "norm=gn",
            "norm.affine=none",
            "norm.initial_weight=0.1",
            "protocol=workers",
            "protocol.norm_batch_size=64",
            "optimizer.weight_decay=0",
            "schedule=step",
        ),
        *("evaluation.precise_images=5", "optimizer.base_lr=0.3", "data.root=/elsewhere"),
    ],
)
def test_what_can_change_a_number_is_in_the_hash_and_in_the_difference(override):
    other = compose_config([override])
    assert config_hash(other) != config_hash(BASE)
    assert difference(to_dict(BASE), to_dict(other))


@pytest.mark.parametrize(
    "override",
    [
        *("tensorboard=false", "launcher.jobs=3", "sweep.seeds=[1,2]", "checkpoint.every_minutes=1"),
        *("data.cache_dir=/elsewhere", "data.memory_budget_gb=1", "data.download=true"),
    ],
)
def test_what_cannot_change_a_number_is_not(override):
    other = compose_config([override, "evaluation.every=1"])
    assert config_hash(other) == config_hash(BASE)
    assert difference(to_dict(BASE), to_dict(other)) == []


@pytest.mark.parametrize(
    ("name", "before"),
    [
        *(("digits", "aa65b7bfb513"), ("cifar10", "48ddd2c2601f"), ("cifar100", "72d656fa7732")),
        *(("image_folder", "001cfe4f8529"), ("image_stream", "90147b98efb4"), ("imagenet", "85c0b1ec2bac")),
    ],
)
def test_runs_made_before_are_known(name, before):
    """Hashes of the first release: a new key must mean "as before" where it is not set."""
    assert config_hash(compose_config([f"data={name}"])) == before


def test_another_split_of_digits_is_another_run():
    assert config_hash(compose_config(["data.test_images=773"])) != config_hash(BASE)


def test_the_same_rate_given_or_taken_from_the_data_set_is_the_same_run():
    assert config_hash(compose_config(["optimizer.base_lr=0.8"])) == config_hash(BASE)
    assert config_hash(compose_config(["data.base_lr=0.4"])) != config_hash(BASE)


def test_a_difference_names_key_old_and_new():
    other = compose_config(["norm.eps=0.001", "seed=3"])
    assert difference(to_dict(BASE), to_dict(other)) == ["norm.options.eps: 1e-05 -> 0.001", "seed: 0 -> 3"]


def test_a_config_survives_its_yaml():
    assert to_dataclass(RunConfig, to_dict(BASE)) == BASE


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "aa65b7bfb513"),
        (["norm=mabn"], "92826cbb54f0"),
        (["model=resnet20", "norm=none"], "af29e5655b18"),
        (["norm=brn", "model=resnet50"], "b12d324ef3b8"),
    ],
)
def test_hashes_made_before_a_key_came_are_still_these_runs(overrides, expected):
    """`model.first_stride` and `norm.r_warmup_steps` came after: their defaults are what was trained then."""
    assert config_hash(compose_config(overrides)) == expected
