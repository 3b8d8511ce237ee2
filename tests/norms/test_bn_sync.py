"""A user would lose synchronized statistics: processes must compute what one with all images does."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import using_batch_statistics

CHANNELS, IMAGES, PROCESSES = 3, 6, 2


def images():
    return torch.randn(
        IMAGES, CHANNELS, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )


def step(x):
    """A step from fixed parameters: output, gradients and running statistics."""
    layer = build_norm("bn_sync", CHANNELS, sgd_batch_size=IMAGES).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    x = x.clone().requires_grad_()
    y = layer(x)
    y.sin().sum().backward()
    return layer, [
        y.detach(),
        x.grad,
        layer.weight.grad,
        layer.bias.grad,
        layer.running_mean,
        layer.running_var,
    ]


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    layer, results = step(images().chunk(PROCESSES)[rank])
    with using_batch_statistics(layer):
        # as evaluation does: in one process only, which must not wait for the other
        alone = layer(images()) if rank == 0 else None
    torch.save((results, alone), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_compute_what_one_does(tmp_path):
    mp.spawn(work, args=(str(tmp_path),), nprocs=PROCESSES)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES)]
    _, (y, grad_x, grad_weight, grad_bias, running_mean, running_var) = step(images())
    (first, alone), (second, _) = ranks
    close = {"rtol": 0, "atol": 1e-10}
    torch.testing.assert_close(torch.cat([first[0], second[0]]), y, **close)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), grad_x, **close)
    # DistributedDataParallel sums (and averages) the parameters' gradients
    torch.testing.assert_close(first[2] + second[2], grad_weight, **close)
    torch.testing.assert_close(first[3] + second[3], grad_bias, **close)
    for results in (first, second):
        torch.testing.assert_close(results[4], running_mean, **close)
        torch.testing.assert_close(results[5], running_var, **close)
    assert torch.allclose(alone, y, atol=1e-10)


def test_in_one_process_all_simulated_workers_share_their_statistics():
    torch.manual_seed(0)
    sync, whole = build_norm("bn_sync", CHANNELS, sgd_batch_size=IMAGES), build_norm("bn", CHANNELS)
    x = images().float()
    assert sync.norm_batch_size == IMAGES
    assert torch.equal(sync(x), whole(x))
    assert torch.equal(sync.running_var, whole.running_var)
