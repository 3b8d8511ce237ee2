"""Memory of a step is kept for the next step."""

import platform
import resource

import pytest
import torch
from tiny_runs import tiny_config

from bnrepro.training.process.device import prepare_device


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has the option")
def test_large_activations_do_not_cost_page_faults_at_every_step() -> None:
    prepare_device(tiny_config())
    megabytes = 64
    for _ in range(2):
        torch.ones(megabytes * 2**18)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(megabytes * 2**18)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < megabytes * 2**20 / 4096 / 4  # one allocation's pages, let alone four
