"""A user would train on other images because they lie on a GPU."""

import pytest
import torch

from bnrepro.data.draws import epoch_table
from bnrepro.data.resident import ResidentFeed, Split

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.mark.gpu
def test_gpu_gives_the_same_batches():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 7, 5, 3), dtype=torch.uint8, generator=draw)
    split = Split(images, torch.arange(20) % 4)
    table = epoch_table(0, 0, 20, 2, "crop_flip")
    cpu, cuda = (ResidentFeed(split, MEAN, STD, 2, "crop_flip", device) for device in ("cpu", "cuda"))
    x, y = cuda.batches(table, slice(0, 20))
    assert x.device.type == "cuda"
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(x.cpu(), cpu.batches(table, slice(0, 20))[0], atol=1e-6)
    assert torch.equal(y.cpu(), cpu.batches(table, slice(0, 20))[1])
