"""A user would lose their own file: not found by the worker, not imported, or changed under a run."""

from pathlib import Path

import pytest

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import config_hash
from bnrepro.config.reference import content_hashes, load_reference, located

FILE = "from helper import VALUE\n\n\ndef make():\n    return VALUE\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own file.py").write_text(FILE)
    (tmp_path / "helper.py").write_text("VALUE = 7\n")
    return tmp_path


def test_a_file_is_found_in_the_first_folder_that_has_it_and_imports_what_stands_beside_it(folder: Path):
    reference = located("norm.factory", "own file.py:make", [folder / "none", folder])
    assert reference == f"{folder / 'own file.py'}:make"
    assert load_reference("norm.factory", reference)() == 7


def test_a_module_is_a_module():
    assert located("norm.factory", "torch.nn:Identity", []) == "torch.nn:Identity"
    assert load_reference("norm.factory", "pathlib:Path") is Path


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nothing.py:make", "norm.factory=nothing.py:make: there is no .*nothing.py"),
        ("no colon", "norm.factory=no colon: must be module:callable or file.py:callable"),
        ("pathlib:", "must be module:callable or file.py:callable"),
    ],
)
def test_what_is_no_reference_is_refused(reference: str, message: str, tmp_path: Path):
    with pytest.raises(UsageError, match=message):
        located("norm.factory", reference, [tmp_path])


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("bnrepro_nothing:make", "cannot be imported .ModuleNotFoundError: .*installed"),
        ("pathlib:Nothing", "cannot be imported .AttributeError"),
        ("math:pi", "is not callable; name a function or class"),
    ],
)
def test_what_cannot_be_imported_or_called_is_refused_in_one_line(reference: str, message: str):
    with pytest.raises(UsageError, match=message) as error:
        load_reference("model.factory", reference)
    assert "\n" not in str(error.value)


def test_a_file_that_raises_says_how(tmp_path: Path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    for _ in range(2):  # the second call must not find half a module
        with pytest.raises(UsageError, match=r"cannot be imported .ZeroDivisionError"):
            load_reference("norm.factory", f"{tmp_path / 'broken.py'}:make")


def own_configs(tmp_path: Path) -> Path:
    for group in ("norm", "model"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "own.yaml").write_text("factory: own.py:make\nwidth: 3\n")
        (tmp_path / group / "own.py").write_text("def make(num_channels=1, width=3): ...\n")
    return tmp_path


def test_a_file_stands_beside_the_yaml_that_names_it_and_the_config_has_its_whole_path(tmp_path: Path):
    config = compose_config(["norm=own", "model=own", "model.width=4"], own_configs(tmp_path))
    assert config.norm.factory == f"{tmp_path}/norm/own.py:make"
    assert config.model.factory == f"{tmp_path}/model/own.py:make"
    assert (config.norm.name, config.model.name, config.model.zero_init_last) == ("own", "own", False)
    assert (dict(config.norm.options), dict(config.model.options)) == ({"width": 3}, {"width": 4})
    assert set(content_hashes(config)) == {f"{tmp_path}/norm/own.py", f"{tmp_path}/model/own.py"}


def test_a_file_of_an_override_stands_in_the_current_directory(tmp_path: Path, monkeypatch):
    (tmp_path / "here.py").write_text("def make(num_channels, eps, momentum): ...\n")
    monkeypatch.chdir(tmp_path)
    assert compose_config(["+norm.factory=here.py:make"]).norm.factory == f"{tmp_path}/here.py:make"


def test_no_factory_is_the_run_that_it_was():
    """The hash was made before models had factories."""
    config = compose_config([])
    assert config.model.factory is None
    assert config_hash(config) == config_hash(compose_config(["+model.factory=null"])) == "aa65b7bfb513"
