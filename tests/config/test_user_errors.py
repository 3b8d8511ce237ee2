"""A user would have to guess what was wrong: every error is one line that names the key and the choices."""

from pathlib import Path

import pytest

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError

WRONG = {
    # overrides -> what the line has to say
    "epoch=3": ["epoch:", "epochs"],
    "optimizer.lr=0.1": ["optimizer.lr:", "base_lr"],
    "data.rot=/tmp": ["data.rot:", "root"],
    "norm.group=4": ["norm.group:", "momentum"],
    "norm=gn norm.momentum=0.1": ["norm.momentum:", "groups"],
    "+foo=1": ["foo:", "no such key", "epochs"],
    "+data.foo=1": ["data.foo:", "no such key", "root"],
    "+norm.foo=1": ["norm.foo:", "no such key", "momentum"],
    "~epochs": ["epochs", "missing"],
    "epochs=many": ["epochs=many", "a whole number"],
    "epochs=1.5": ["epochs=1.5", "a whole number"],
    "epochs=true": ["epochs=True", "a whole number"],
    "epochs=null": ["epochs=null", "a whole number"],
    "optimizer.base_lr=fast": ["optimizer.base_lr=fast", "a number"],
    "deterministic=1": ["deterministic=1", "true or false"],
    "data.image_size=big": ["data.image_size=big", "a whole number or null"],
    "schedule.milestones=3": ["schedule.milestones=3", "a list"],
    "norm.momentum=high": ["norm.momentum=high", "a number"],
    "norm=gn norm.groups=many": ["norm.groups=many", "auto or a whole number"],
    "norm=brn norm.start_step=soon": ["norm.start_step=soon", "a number"],
    "model.zero_init_last=2": ["model.zero_init_last=2", "true or false"],
    "norm=batchnorm": ["norm=batchnorm", "bn", "gn", "none"],
    "model=resnet18k": ["model=resnet18k", "resnet8", "resnet110"],
    "data=mnist": ["data=mnist", "digits", "cifar10"],
    "protocol=sync": ["protocol=sync", "coupled", "fixed_sgd", "workers"],
    "experiment=cifar": ["experiment=cifar", "cifar10_quick", "digits"],
    "schedule=linear": ["schedule=linear", "cosine", "step"],
    "device=tpu": ["device=tpu", "cpu", "cuda"],
    "precision=fp16": ["precision=fp16", "float32", "bf16"],
    "data.augment=mixup": ["data.augment=mixup", "crop_flip"],
    "optimizer.scaling=log": ["optimizer.scaling=log", "linear, sqrt, none"],
    "evaluation.statistics=[moving]": ["evaluation.statistics=moving", "running, precise, batch"],
    "batch_size=0": ["batch_size=0", "1 or more"],
    "epochs=0": ["epochs=0", "1 or more"],
    "seed=-1": ["seed=-1", "0 or more"],
    "threads=0": ["threads=0", "1 or more"],
    "optimizer.base_lr=0": ["optimizer.base_lr=0", "above 0"],
    "optimizer.base_lr=nan": ["optimizer.base_lr=nan", "a finite number"],
    "optimizer.base_lr=inf": ["optimizer.base_lr=inf", "a finite number"],
    "norm.eps=inf": ["norm.eps=inf", "a finite number"],
    "data.train_subset=0": ["data.train_subset=0", "1 or more"],
    "evaluation.every=-1": ["evaluation.every=-1", "0 or more"],
    "checkpoint.every_minutes=0": ["checkpoint.every_minutes=0", "above 0"],
    "schedule.warmup_epochs=10": ["schedule.warmup_epochs=10", "below epochs=10"],
    "schedule.milestones=[3,2]": ["schedule.milestones=[3.0, 2.0]", "rise"],
    "protocol.sgd_batch_size=64": ["protocol.sgd_batch_size=64", "only fixed_sgd"],
    "protocol=fixed_sgd protocol.sgd_batch_size=null": ["protocol.sgd_batch_size=null", "256"],
    "data.augment": ["data.augment", "key=value"],
    "sweep.seeds=[a]": ["sweep.seeds=a", "a whole number"],
    "data={roots:/x}": ["data.roots:", "did you mean root"],
    "norm=true": ["norm=true", "no such choice", "gn"],
    "norm=null": ["norm=null", "no such choice"],
    "norm=../norm/bn": ["norm=../norm/bn", "no such choice"],
    "norm.name=gn": ["norm=bn: its name is gn"],
    "experiment=2024": ["experiment=2024", "no such choice", "digits"],
    "~norm": ["~norm", "norm=NAME"],
    "+norm=gn": ["+norm=gn", "norm=NAME"],
    "model=[]": ["model=[]", "model=NAME"],
    "protocol=${": ["protocol=${", "key=value"],
    "experiment=${oc.decode:'1'}": ["${…}", "the value itself"],
    "data.root=$\\{oc.env:HOME\\}": ["${…}", "the value itself"],
    "optimizer.base_lr=${data.base_lr}": ["${…}", "the value itself"],
    "+=x": ["+=x", "key=value"],
    "seed=" + "9" * 5000: ["seed: a number of 5,000 digits"],
    "seed=" + "9" * 4000: ["seed=999", f"at most {2**63 - 1}"],
    "optimizer.base_lr=" + "9" * 4000: ["optimizer.base_lr=999", "a finite number"],
    "device=cpu:": ["device=cpu:", "cuda:N"],
    "threads=9999999999": ["threads=9999999999", "at most 4096"],
    "epochs=9999999999": ["epochs=9999999999", "at most 2147483647"],
    "data.root=" + "x" * 300: ["data.root=xxx", "300 bytes"],
    "norm=" + "x" * 300: ["norm=xxx", "no such choice"],
    "data.root=" + "x" * 10_001: ["data.root=xxx", "10,011 characters"],
    "data.root=\udcff": ["data.root=\\udcff", "UTF-8"],
    "norm=\x1b[31m": ["norm=\\x1b[31m"],
    "seed=1,2": ["seed=1,2", "several values"],
    "norm@other=gn": ["norm@other=gn", "neither @ nor /"],
    "hydra/launcher=basic": ["hydra/launcher=basic", "neither @ nor /"],
    "hydra.searchpath=[/x]": ["hydra", "no such key"],
    "epochs.x=1": ["epochs.x", "epochs is 10"],
    "launcher=slurm launcher.parameters.exclusive=true": ["launcher.parameters={exclusive: …}"],
    "data.stream.feed=torch": ["data.stream: no such key"],
    "data={1:2}": ["data.1", "no such key"],
    "+launcher.foo=1": ["launcher.foo", "no such key"],
    "sweep.seeds.0=1": ["sweep.seeds.0", "no such key"],
}


@pytest.mark.parametrize("overrides", WRONG)
def test_the_line_names_the_key_and_what_it_may_be(overrides):
    with pytest.raises(UsageError) as refused:
        compose_config(overrides.split(" "))
    line = str(refused.value)
    assert len(line) <= 300
    assert line.isprintable()
    for words in WRONG[overrides]:
        assert words in line


def test_a_choice_that_bnrepro_has_too(tmp_path: Path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "bn.yaml").write_text("name: bn\n")
    with pytest.raises(UsageError, match=r"norm=bn: .*give yours another name"):
        compose_config(["norm=bn"], tmp_path)


@pytest.mark.parametrize("text", ["name: [", "- name", "name: mine\nx: ${nowhere}\n", "\xff"])
def test_a_file_of_the_users_that_cannot_be_read(tmp_path: Path, text: str):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError) as refused:
        compose_config(["norm=mine"], tmp_path)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) <= 300


def test_a_config_dir_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match=r"--config-dir .*nowhere: no such directory"):
        compose_config([], tmp_path / "nowhere")


def test_choices_name_the_users_own_too(tmp_path: Path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text("name: mine\nfactory: mine:make\n")
    with pytest.raises(UsageError, match=r"norm=yours: .*mine"):
        compose_config(["norm=yours"], tmp_path)


def test_a_norm_file_whose_name_is_another(tmp_path: Path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text("name: yours\n")
    with pytest.raises(UsageError, match=r"norm=mine: its name is yours; .*its file"):
        compose_config(["norm=mine"], tmp_path)
