"""A user would paste from the page what does not run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import bnrepro

PACKAGE = Path(bnrepro.__file__).parent
PAGE = (PACKAGE / "norms" / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def write_files(folder: Path) -> list[Path]:
    """The blocks that open with the name of a file."""
    written = []
    for kind in ("yaml", "python"):
        for block in blocks(kind):
            if match := re.match(r"# (conf/\S+)\n", block):
                path = folder / match.group(1)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block, encoding="utf-8")
                written.append(path)
    return written


def test_the_python_runs_from_the_first_block_to_the_last(capsys):
    code = "\n".join(block for block in blocks("python") if not block.startswith("# conf/"))
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "bn1: 64 channels of 1024 pixels" in out
    assert "layer4.1.bn2: 512 channels of 4 pixels" in out


def test_the_commands_run_in_a_folder_outside_of_the_repository(tmp_path):
    assert len(write_files(tmp_path)) == 4
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    for line in blocks("bash")[0].splitlines():
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "diagnosis" / "diagnosis.png").is_file()
    assert (tmp_path / "own" / "figure.png").is_file()
    assert str(tmp_path / "conf" / "norm" / "my_norm.py") in (tmp_path / "run" / "env.json").read_text()
