"""What a marked test needs, and the reason it is skipped with where that is missing; who runs which test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_cluster

MOST_PROCESSES = 8
"""Each has torch loaded, which is a GB of memory."""

SLOW_FILES = {
    *(
        "test_replayed.py",
        "test_distributed.py",
        "test_imagenet_step.py",
        "test_resume.py",
        "test_compile.py",
    ),
    *("test_every_norm.py", "test_stacked.py", "test_group.py", "test_combinations.py", "test_probed_run.py"),
    *(
        "test_claims_command.py",
        "test_local_sweep.py",
        "test_lockstep_sweep.py",
        "test_many_cells.py",
        "test_sweep_over.py",
    ),
    *("test_library_page.py", "test_documents.py", "test_anywhere.py", "test_ending.py", "test_start.py"),
    *("test_fuzzed_overrides.py", "test_damaged_sweep.py", "test_bench_command.py", "test_throughput.py"),
    *(
        "test_surroundings.py",
        "test_report_in_browser.py",
        "test_sbatch_files.py",
        "test_torchvision_networks.py",
    ),
    *(
        "test_stream_feed.py",
        "test_pool.py",
        "test_full_disk.py",
        "test_prepare.py",
        "test_broken_folders.py",
    ),
    *("test_figure.py", "test_plot.py", "test_kept.py", "test_axis_figure.py", "test_probe_figure.py"),
    *(
        "test_own_networks.py",
        "test_own_files.py",
        "test_own_data.py",
        "test_train_command.py",
        "test_probes.py",
    ),
    *("test_probes_change_nothing.py", "test_old_directories.py"),
}
"""Together most of the time; those marked `slurm` wait for a cluster too. `-m "not slow"` leaves them out."""

# A run sets its own number of threads, a test that calls a module does not: two threads on a machine that
# does other work wait for each other, and the same test takes ten times as long. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: a process per core, and one more as Slurm lets one wait; none for a choice of tests."""
    if config.args != config.getini("testpaths") or config.option.keyword:
        return 0
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for Slurm first, then those with what takes long: they must not be left to the end."""
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"{addresses[0]}: an address is another one in each process; give ids")
    for item in items:
        if item.path.name in SLOW_FILES or item.get_closest_marker("slurm"):
            item.add_marker("slow")
    waiting = {item.path for item in items if item.get_closest_marker("slurm")}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in waiting, item.path not in slow))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """The slurm.conf of a cluster of the tests' own: they cancel jobs and kill steps."""
    if reason := slurm_cluster.missing(*slurm_cluster.DAEMONS):
        pytest.skip(reason)
    with slurm_cluster.running_cluster("none") as configuration:
        yield configuration


@pytest.fixture(scope="session")
def cluster_with_accounting() -> Iterator[Path]:
    if reason := slurm_cluster.missing(*slurm_cluster.DAEMONS, *slurm_cluster.ACCOUNTING):
        pytest.skip(reason)
    with slurm_cluster.running_cluster("dbd") as configuration:
        yield configuration


@pytest.fixture(autouse=True)
def marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's commands talk to the cluster in tests marked `slurm`; without a GPU those marked `gpu` skip."""
    if request.node.get_closest_marker("slurm"):
        monkeypatch.setenv("SLURM_CONF", str(request.getfixturevalue("cluster")))
    if request.node.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch.cuda is not available")


@pytest.fixture(autouse=True)
def nothing_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine says what it waits for: lines on stderr that a test does not expect."""
    monkeypatch.setattr("bnrepro.training.progress.LONG_SECONDS", 600.0)


@pytest.fixture
def accounting(marked: None, cluster_with_accounting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's commands talk to the cluster with sacct instead (for tests marked `slurm`)."""
    monkeypatch.setenv("SLURM_CONF", str(cluster_with_accounting))
