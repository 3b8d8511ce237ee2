"""Every shell script parses, and can be called as the README says."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from shell_scripts import ROOT

SCRIPTS = sorted([*ROOT.glob("scripts/**/*.sh"), ROOT / ".ci" / "run"])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_script_parses(path: Path) -> None:
    checked = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stderr == ""


def test_what_runs_for_a_change_is_what_runs_at_home() -> None:
    """Steps of the workflow's own would pass or fail where nobody could repeat them."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]


def test_commands_are_executable() -> None:
    commands = [*ROOT.glob("scripts/*.sh"), ROOT / ".ci" / "run"]
    assert [path.name for path in commands if not os.access(path, os.X_OK)] == []
