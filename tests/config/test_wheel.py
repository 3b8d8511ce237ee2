"""A user would install the wheel and find no configs in it."""

import tomllib
from pathlib import Path

from bnrepro.config import compose, paths

ROOT = Path(__file__).parents[2]


def test_configs_travel_to_where_the_program_looks_for_them(tmp_path, monkeypatch):
    """Laid out as pyproject.toml tells hatchling to; building a wheel would need the network."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["bnrepro"]
    assert (ROOT / "bnrepro" / "py.typed").exists(), "type checkers would not see the annotations"
    for source, target in wheel["force-include"].items():
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / target).symlink_to(ROOT / source)
    module = tmp_path / "bnrepro" / "config" / "paths.py"
    monkeypatch.setattr(paths, "__file__", str(module))
    assert paths.config_directory() == tmp_path / "bnrepro" / "configs"
    assert compose.compose_config(["experiment=digits"]).experiment == "digits"
