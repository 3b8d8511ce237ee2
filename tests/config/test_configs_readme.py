"""A user would look a key up and find what it meant a year ago, or nothing."""

import importlib.util
from pathlib import Path

import pytest

from bnrepro.config.files import read_config_file
from bnrepro.config.identity import flatten
from bnrepro.config.paths import config_directory

SCRIPT = Path(__file__).parents[2] / "scripts" / "write_configs_readme.py"
SAY_THEMSELVES = ("name", "label")
FILES = [path for path in sorted(config_directory().rglob("*.yaml")) if "experiment" not in path.parts]


def page() -> str:
    spec = importlib.util.spec_from_file_location("write_configs_readme", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.text())


def test_the_page_of_all_keys_is_current() -> None:
    written = (config_directory() / "README.md").read_text(encoding="utf-8")
    assert written == page(), "python scripts/write_configs_readme.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key_has_a_comment(path: Path) -> None:
    file = read_config_file(path)
    keys = [key for key in flatten(file.values) if key not in SAY_THEMSELVES]
    assert [key for key in keys if not file.comments.get(key)] == []
    assert file.header


def test_every_choice_and_key_is_on_the_page() -> None:
    text = page()
    for path in FILES:
        if path.stem.startswith("_") or path.stem == "config":
            continue
        group = path.parent.name
        assert f"`{group}={path.stem}`" in text
        for key in flatten(read_config_file(path).values):
            assert key in SAY_THEMSELVES or f"`{group}.{key}`" in text
