"""scripts/slurm-dev-cluster.sh: a cluster that works, one-line refusals, no daemon stopped but its own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell_scripts import ROOT

CLUSTER = ROOT / "scripts" / "slurm-dev-cluster.sh"
Completed = subprocess.CompletedProcess[str]


def run(*command: str | Path, **environment: str) -> Completed:
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def directory() -> Iterator[Path]:
    """For a cluster's files: Slurm's sockets need a short path, and other users a way in."""
    path = Path(tempfile.mkdtemp(prefix="bnrepro-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def refusal(done: Completed) -> str:
    """The one line that a refusal is."""
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1, line
    return line


def processes_of(directory: Path) -> list[str]:
    """The processes that have the cluster's directory in their environment."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"BNREPRO_SLURM_DAEMON={directory}:" in environment.read_text(errors="replace"):
                found.append(environment.parent.name)
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found


@pytest.mark.parametrize("words", [[], ["restart"], ["up", "--accounting", "shim"], ["down", "now"]])
def test_unknown_command_shows_the_known_ones(words: list[str]) -> None:
    done = run("bash", CLUSTER, *words)
    assert done.returncode == 2
    assert "install [--fix-hosts] | up [--accounting none|dbd] | down | env" in done.stderr


@pytest.mark.parametrize("command", ["install", "up", "down"])
def test_anyone_but_root_is_refused(directory: Path, command: str) -> None:
    scripts = shutil.copytree(CLUSTER.parent, directory / "scripts")
    become = ["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = run(*become, "bash", scripts / CLUSTER.name, command, BNREPRO_SLURM_DIR=str(directory / "slurm"))
    assert f"{command} needs root" in refusal(done)


def test_env_without_a_cluster_says_how_to_start_one(directory: Path) -> None:
    done = run("bash", CLUSTER, "env", BNREPRO_SLURM_DIR=str(directory))
    assert "up' starts one" in refusal(done)
    assert done.stdout == ""


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("BNREPRO_SLURM_DIR", "/tmp/a directory"),
        ("BNREPRO_SLURM_DIR", "relative"),
        ("BNREPRO_SLURM_DIR", "/tmp/" + 80 * "x"),
        ("BNREPRO_SLURM_PORT", "http"),
        ("BNREPRO_SLURM_PORT", "65534"),
        ("BNREPRO_SLURM_CPUS", "0"),
    ],
)
def test_bad_setting_is_one_line(directory: Path, key: str, value: str) -> None:
    done = run("bash", CLUSTER, "up", **({"BNREPRO_SLURM_DIR": str(directory)} | {key: value}))
    assert f"{key}={value}: " in refusal(done)


@pytest.mark.slurm
def test_taken_port_is_refused_before_anything_starts(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run(
            "bash", CLUSTER, "up", BNREPRO_SLURM_DIR=str(directory), BNREPRO_SLURM_PORT=str(min(port, 65533))
        )
    assert f"port {port} is taken" in refusal(done)
    assert list(directory.glob("var/*.pid")) == []


@pytest.mark.slurm
def test_host_name_elsewhere_is_refused_and_fix_hosts_mends_it(directory: Path, tmp_path: Path) -> None:
    """Tried in a namespace with another host name and another /etc/hosts."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.1.1 testhost\n")
    inside = ["unshare", "--mount", "--uts", "sh", "-ec"]
    prepare = 'mount --bind "$0" /etc/hosts; hostname testhost; '
    if run(*inside, prepare, hosts).returncode != 0:
        pytest.skip("this machine gives no mount and UTS namespaces")
    script = prepare + f"bash '{CLUSTER}' up"
    done = run(*inside, script, hosts, BNREPRO_SLURM_DIR=str(directory))
    assert "testhost resolves to 127.0.1.1: /etc/hosts needs the line '127.0.0.1 testhost'" in refusal(done)
    fix = prepare + f"bash '{CLUSTER}' install --fix-hosts; getent ahostsv4 testhost | head -n 1"
    done = run(*inside, fix, hosts)
    assert done.stdout.splitlines()[-1].split()[0] == "127.0.0.1", done.stderr
    assert hosts.read_text().endswith("127.0.0.1 localhost\n127.0.1.1 testhost\n")


@pytest.mark.slurm
def test_jobs_run_on_the_cluster(tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = ["sbatch", "--wait", "--ntasks=2", "--output", output, "--wrap", "srun --label echo task"]
    done = run(*job, "--chdir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(output.read_text().splitlines()) == ["0: task", "1: task"]


@pytest.mark.slurm
def test_the_node_has_room_for_four_jobs() -> None:
    assert int(run("sinfo", "-h", "-o", "%c").stdout) >= 4


@pytest.mark.slurm
@pytest.mark.usefixtures("accounting")
def test_sacct_remembers_how_a_job_ended(tmp_path: Path) -> None:
    job = ["sbatch", "--parsable", "--wait", "--output=/dev/null", "--wrap", "exit 3"]
    done = run(*job, "--chdir", tmp_path)
    states = run("sacct", "-X", "-n", "-P", "-o", "State,ExitCode", "-j", done.stdout.strip())
    assert states.stdout.strip() == "FAILED|3:0", states.stderr


@pytest.mark.slurm
def test_a_second_cluster_stands_beside_the_first_and_goes_alone(directory: Path) -> None:
    """`up` picks free ports; `down` ends the cluster's own jobs and daemons, and nothing else."""
    own = {"BNREPRO_SLURM_DIR": str(directory), "BNREPRO_SLURM_CPUS": "7"}
    try:
        up = run("bash", CLUSTER, "up", **own)
        assert up.returncode == 0, up.stderr
        exported = run("bash", CLUSTER, "env", **own).stdout
        assert exported == f"export SLURM_CONF={directory}/slurm.conf\n"
        second = {"SLURM_CONF": f"{directory}/slurm.conf"}
        assert run("sinfo", "-h", "-o", "%c", **second).stdout.strip() == "7"
        marker = directory / "alive"
        job = f"while :; do touch {marker}; sleep 0.1; done"
        run("sbatch", "--output=/dev/null", "--chdir=/", "--wrap", job, **second)
        assert run("bash", CLUSTER, "up", **own).returncode == 0, "a second up finds it running"
        other = run("bash", CLUSTER, "up", "--accounting", "dbd", **own)
        assert "runs with accounting none" in refusal(other) or "not installed" in refusal(other)
    finally:
        down = run("bash", CLUSTER, "down", **own)
    assert down.returncode == 0, down.stderr
    assert processes_of(directory) == []
    marker.unlink(missing_ok=True)
    assert run("sinfo", "-h").returncode == 0, "the first cluster must still answer"
    assert not marker.exists(), "the job went on after down"
