"""A copy of the repository's scripts, in a path with a space, and the calls to them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from shell_scripts import ROOT, Script


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    copy = tmp_path / "the repository"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture
def script(tree: Path, tmp_path: Path) -> Script:
    """Calls a script of the copy: script("setup.sh", "test", KEY="value of an environment variable")."""

    def call(name: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", str(tree / "scripts" / name), *arguments],
            env=os.environ | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call
