"""A user would wait for `--help`, or not know what a call has done."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml
from tiny_runs import call

import bnrepro
from bnrepro.cli import app


def test_version():
    assert call("--version").out == f"bnrepro {bnrepro.__version__}\n"


def test_python_m_is_the_same_program():
    done = subprocess.run([sys.executable, "-m", "bnrepro", "--version"], capture_output=True, text=True)
    assert done.stdout == f"bnrepro {bnrepro.__version__}\n"
    assert done.returncode == 0


def test_show_config_prints_yaml_that_says_it_all():
    ended = call("show-config", "experiment=digits", "norm=gn", "batch_size=4", "data.root=/tmp/été")
    shown = yaml.safe_load(ended.out)
    assert ended.code == 0
    assert (shown["experiment"], shown["norm"]["name"], shown["batch_size"]) == ("digits", "gn", 4)
    assert shown["norm"]["options"]["groups"] == "auto"
    assert "/tmp/été" in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "epoch=3"], "did you mean epochs"),
        (["train", "norm=foo"], "norm=foo: no such choice"),
        (["train", "epochs=many"], "epochs=many: must be a whole number"),
        (["train", "+foo=1"], "foo: no such key"),
        (["train", "batch_size=0"], "batch_size=0: must be 1 or more"),
        (["train", "--config-dir", "nowhere"], "--config-dir nowhere: no such directory"),
        (
            ["train", "batch_size=2000"],
            "batch_size=2000: an SGD batch of 2000 (1 × 2000) is more",
        ),
        (["train", "data.train_subset=5000"], "data.train_subset=5000"),
        (["train", "protocol=fixed_sgd", "batch_size=3"], "must divide protocol.sgd_batch_size=256"),
        (["train", "norm=gn", "norm.groups=5"], "5"),
        (["train", "data=image_folder"], "data.root"),
        (["train", "data=image_folder", "data.root=nowhere"], "nowhere"),
        (["train", "data=cifar10", "data.download=false", "data.root=nowhere"], "nowhere"),
        (["train", "--out", "file/run"], "file/run: cannot be written"),
        (["show-config", "data=mnist"], "data=mnist: no such choice"),
        (["sweep", "batch-size", "norm=gn"], "--norms"),
        (["sweep", "batch-size", "batch_size=4"], "--batch-sizes"),
        (["sweep", "batch-size", "seed=1"], "--seeds"),
        (["sweep", "batch-size", "norm.foo=1"], "norm.foo: no such key"),
        (["sweep", "batch-size", "--norms", "bn,foo"], "--norms bn,foo: no norm foo; choices: bn"),
        (["sweep", "batch-size", "--batch-sizes", "1,x"], "--batch-sizes 1,x: must be whole numbers"),
        (["sweep", "batch-size", "--seeds", "-1"], "--seeds -1: must be 0 or more"),
        (["sweep", "batch-size", "--jobs", "0"], "--jobs 0: must be auto or a whole number from 1"),
        (["sweep", "batch-size", "--launcher", "cluster"], "launcher=cluster: no such choice"),
        (["sweep", "batch-size", "protocol=workers"], "bn-b256, gn-b256, none-b256"),
        (["sweep", "batch-size", "epochs=0"], "epochs=0: must be 1 or more"),
        (["train", "--out", ""], "--out '': must name a directory"),
        (["train", "--out", "file"], "--out file: is a file"),
        (["train", "--out", "x" * 300], "a name of 300 bytes"),
        (["train", "--out", "/".join(["x" * 200] * 25)], "a path of 5,024 bytes"),
        (["sweep", "batch-size", "--out", "x" * 300], "a name of 300 bytes"),
        (["plot", ".", "--out", "file"], "--out file: is a file"),
        (["train", "--out", "caf\udce9"], "caf\\udce9: is not text in utf-8"),
        (["status", "x" * 300], "is not a directory"),
        (["status", "nowhere"], "nowhere: is not a directory"),
        (["plot", ".", ""], "'': is not a directory"),
        (["train", "--ot", "x"], "no such option: --ot"),
        (["trian"], "no such command 'trian'"),
        (["status"], "missing argument 'SWEEP_DIR'; see bnrepro status --help"),
        (["data", "prepare", "x", "--root", ".", "--size", "abc"], "--size abc: "),
        (["train", "--out"], "option '--out' requires an argument"),
        (["list", "foo"], "list foo: choices: norms"),
        (["status", "."], "is not a sweep directory"),
        (["plot", "."], "is not a sweep directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_user_can_fix_is_one_line_and_exit_2_and_leaves_nothing(
    tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    ended = call(*arguments)
    assert ended.code == 2, ended
    assert ended.err.startswith("bnrepro: ")
    assert ended.err.count("\n") == 1
    assert words.casefold() in ended.err.casefold()
    assert list(tmp_path.rglob("*")) == [tmp_path / "file"]


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        inner = getattr(command, "commands", {})
        if not inner:
            yield words, command
        for name, part in inner.items():
            yield from below(part, (*words, name))

    return below(typer.main.get_command(app), ())


@pytest.mark.parametrize(
    ("words", "command"),
    list(commands()),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "help",
)
def test_the_help_of_every_command_opens_with_an_example_of_it(words, command):
    opening = command.help.split("\n\n")[1]
    assert opening.startswith(f"Example: bnrepro {' '.join(words)}")
    assert len(opening) <= 110


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("norms", ["bn ", "gn ", "none "]),
        ("models", ["resnet8 ", "resnet50 "]),
        ("data", ["digits ", "imagenet "]),
        ("experiments", ["digits ", "wu_he_2018 "]),
        ("references", ["wu_he_2018 ", "he_2016 "]),
    ],
)
def test_list_says_in_a_line_what_each_choice_is(kind, some):
    ended = call("list", kind)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert all(any(line.startswith(name) for line in lines) for name in some)
    assert all(len(line.split("  ", 1)[1].strip()) > 10 for line in lines)


def test_list_names_the_users_own(tmp_path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text("# A norm of mine.\nname: mine\nfactory: mine:make\n")
    assert "mine        A norm of mine.\n" in call("list", "norms", "--config-dir", str(tmp_path)).out
