"""scripts/setup.sh: a user must get the pinned versions, quickly the second time, and clear errors.

The interpreter, pip and uv are stand-ins that record what they are told, so that nothing is downloaded.
"""

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell_scripts import ROOT, Script, executable

PYTHON = """#!/bin/sh
# A stand-in for python3: FAKE_VERSION, FAKE_VENV=1 (no venv module), FAKE_PREFIX
case "$*" in
  *version_info*3,\\ 11*) echo "$FAKE_VERSION"; case $FAKE_VERSION in 3.1[1-9].*) ;; *) exit 1 ;; esac ;;
  *base_prefix*) echo "$FAKE_VERSION in $(basename "$0")" ;;
  *ensurepip*) exit "${FAKE_VENV:-0}" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install "*) cp "$FAKE_UV" "$(dirname "$0")/uv" ;;
  *) exit 3 ;;
esac
"""
UV = """#!/bin/sh
echo "$PWD: $*" >>"$FAKE_LOG"
if [ "$FAKE_UV_DIES" ]; then kill -KILL $PPID; fi
exit "${FAKE_UV_STATUS:-0}"
"""


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of uv's calls; python3 and uv are the stand-ins from here on."""
    log = tmp_path / "uv.log"
    log.touch()
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        executable(tmp_path / "bin" / name, PYTHON)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_UV", str(executable(tmp_path / "uv", UV)))
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("FAKE_VERSION", "3.12.1")
    monkeypatch.delenv("BNREPRO_PYTHON", raising=False)
    return log


def calls(log: Path) -> list[str]:
    return log.read_text().splitlines()


def test_packages_are_pinned_and_the_second_call_installs_nothing(
    script: Script, installs: Path, tree: Path
) -> None:
    first, second = script("setup.sh"), script("setup.sh")
    (call,) = calls(installs)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert call.startswith(f"{tree}: pip install --python {tree}/.venv/bin/python")
    assert call.endswith(f"-c {tree}/scripts/constraints.txt -b {tree}/scripts/constraints.txt -e .")
    assert second.stdout == second.stderr == ""


def test_extras_add_up_so_that_reproduce_does_not_undo_test(script: Script, installs: Path) -> None:
    for extras in (["test"], [], ["test"], ["lint", "test"], ["lint"]):
        assert script("setup.sh", *extras).returncode == 0
    assert [call.split(" -e ")[1] for call in calls(installs)] == [".[test]", ".[lint,test]"]


def test_changed_pins_are_installed(script: Script, installs: Path, tree: Path) -> None:
    script("setup.sh", "test")
    with (tree / "scripts" / "constraints.txt").open("a") as file:
        file.write("zzz==1\n")
    script("setup.sh")
    assert [call.split(" -e ")[1] for call in calls(installs)] == [".[test]", ".[test]"]


def test_interrupted_install_starts_afresh(script: Script, installs: Path, tree: Path) -> None:
    assert script("setup.sh", FAKE_UV_DIES="1").returncode < 0
    half_a_package = tree / ".venv" / "half-a-package"
    half_a_package.touch()
    assert script("setup.sh").returncode == 0
    assert not half_a_package.exists()
    assert script("setup.sh").returncode == 0 and len(calls(installs)) == 2


def test_failed_install_is_not_taken_for_done(script: Script, installs: Path) -> None:
    failed = script("setup.sh", FAKE_UV_STATUS="2")
    assert failed.returncode == 1
    assert "run the same command again" in failed.stderr
    assert script("setup.sh").returncode == 0 and len(calls(installs)) == 2


def test_interrupted_extras_do_not_hide_behind_an_older_stamp(script: Script, installs: Path) -> None:
    script("setup.sh")
    script("setup.sh", "test", FAKE_UV_DIES="1")
    assert script("setup.sh").returncode == 0
    assert len(calls(installs)) == 3


def test_moved_repository_gets_new_scripts(script: Script, installs: Path, tree: Path) -> None:
    script("setup.sh")
    old = tree / ".venv" / "names-the-old-place"
    old.touch()
    stamp = tree / ".venv" / ".bnrepro-setup"
    stamp.write_text(stamp.read_text().replace(str(tree), "/elsewhere"))
    assert script("setup.sh").returncode == 0
    assert not old.exists()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"FAKE_VERSION": "3.9.2"}, ["no Python 3.11 or newer", "Python 3.9.2", "BNREPRO_PYTHON"]),
        ({"FAKE_VENV": "1"}, ["python3 has no venv module", "apt-get install python3-venv"]),
        ({"FAKE_VENV": "1", "BNREPRO_PYTHON": "python3.12"}, ["apt-get install python3.12-venv"]),
        ({"BNREPRO_PYTHON": "/nowhere/python"}, ["BNREPRO_PYTHON=/nowhere/python"]),
    ],
)
def test_unusable_interpreter_is_one_clear_line(
    script: Script, installs: Path, tree: Path, environment: dict[str, str], words: list[str]
) -> None:
    refused = script("setup.sh", **environment)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert all(word in line for word in words), line
    assert not (tree / ".venv").exists()


def test_another_interpreter_does_not_replace_a_venv(script: Script, installs: Path, tree: Path) -> None:
    script("setup.sh")
    refused = script("setup.sh", BNREPRO_PYTHON="python3.12")
    assert refused.returncode == 1
    assert f"{tree}/.venv has Python 3.12.1" in refused.stderr
    assert "remove it to use BNREPRO_PYTHON=python3.12" in refused.stderr


def test_the_size_of_the_download_is_said_before_it_begins(script: Script, installs: Path) -> None:
    """A metered connection, or a small disk, would be full before its owner knew."""
    said = script("setup.sh").stdout
    assert re.search(r"up to [0-9.]+ GB to download, [0-9.]+ GB on disk", said)


@pytest.fixture
def shared(tree: Path) -> Iterator[Path]:
    """The copy where every user may look; pytest's own folders are for one."""
    place = Path(tempfile.mkdtemp(prefix="bnrepro-test-", dir="/tmp"))
    yield shutil.copytree(tree, place / "the repository")
    shutil.rmtree(place)


def as_somebody_else(shared: Path) -> subprocess.CompletedProcess[str]:
    """reproduce.sh by a user who may not write there."""
    shared.parent.chmod(0o755)
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    command = ["bash", str(shared / "scripts" / "reproduce.sh"), "--dry-run"]
    return subprocess.run(
        [*become, *command] if os.geteuid() == 0 else command, cwd="/", capture_output=True, text=True
    )


def test_a_checkout_that_cannot_be_written_is_one_line(shared: Path) -> None:
    shared.chmod(0o555)
    refused = as_somebody_else(shared)
    shared.chmod(0o755)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"setup: {shared}: ") and "make a copy of the repository" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_venv_of_another_user_is_left_as_it_is(shared: Path) -> None:
    """Its Python may be in a home that nobody else can enter: it looks broken, and is not."""
    python = executable(shared / ".venv" / "bin" / "python", "#!/bin/sh\n")
    python.chmod(0o700)
    shared.chmod(0o777)
    refused = as_somebody_else(shared)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"{shared}/.venv belongs to root" in line
    assert python.exists()


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_pin_every_dependency_and_hold_no_address() -> None:
    lines = (ROOT / "scripts" / "constraints.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["build-system"]["requires"] + ["uv"]
    for extra in ("test", "lint"):  # what our scripts install; `dali` is for users with a GPU
        wanted += project["project"]["optional-dependencies"][extra]
    names = {normalized(re.split(r"[<>=\[ ]", requirement)[0]) for requirement in wanted}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    assert lines == sorted(lines)
    assert names <= {normalized(line.split("==")[0]) for line in lines}
