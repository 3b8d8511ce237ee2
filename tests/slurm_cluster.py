"""A Slurm cluster for the tests that need one: it starts with the first of them and ends with the last."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm-dev-cluster.sh"
DAEMONS = ("sbatch", "slurmctld", "slurmd", "munged")
ACCOUNTING = ("slurmdbd", "mariadbd")
# The end of its input is the signal to stop: it comes even where the tests are killed.
KEEPER = """
if bash "$0" up --accounting "$1" >"$BNREPRO_SLURM_DIR/up.log" 2>&1; then echo up; else echo failed; fi
read -r _
bash "$0" down >/dev/null 2>&1
rm -rf -- "$BNREPRO_SLURM_DIR"
"""


def missing(*programs: str) -> str:
    """Why no cluster can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "a Slurm cluster for the tests needs root"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [name for name in programs if shutil.which(name, path=path) is None]
    if lacking:
        return f"no {', '.join(lacking)}: scripts/slurm-dev-cluster.sh install"
    return ""


@contextmanager
def running_cluster(accounting: str) -> Iterator[Path]:
    """The `slurm.conf` of a new cluster. `accounting`: `none` or `dbd`."""
    # not below TMPDIR: Slurm takes no spaces in its paths, and other users need a way in
    directory = Path(tempfile.mkdtemp(prefix="bnrepro-test-", dir="/tmp"))
    directory.chmod(0o755)
    keeper = subprocess.Popen(
        ["bash", "-c", KEEPER, SCRIPT, accounting],
        env=os.environ | {"BNREPRO_SLURM_DIR": str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the tests
    )
    assert keeper.stdin is not None and keeper.stdout is not None
    with keeper:
        try:
            if keeper.stdout.readline() != "up\n":
                raise RuntimeError(f"the cluster does not start: {(directory / 'up.log').read_text()}")
            yield directory / "slurm.conf"
        finally:
            keeper.stdin.close()
