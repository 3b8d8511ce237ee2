"""(b) The tutorial loop: what public scripts for CIFAR ResNets do, step for step."""

from __future__ import annotations

import os
import resource
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bnrepro.bench.images import bench_images
from bnrepro.bench.processes import Speed
from bnrepro.config.schema import DataConfig, RunConfig
from bnrepro.data import ResidentDataset
from bnrepro.training.batch_sizes import batch_sizes
from bnrepro.training.optimizer import scaled_lr
from bnrepro.training.process.device import peak_memory_bytes, reset_peak_memory, resolve_device
from bnrepro.training.session import build_network, norm_layers, with_precision
from bnrepro.training.speed.timing import at_standstill, time_steps

LOADER_WORKERS = (0, 2, 4)


@dataclass(frozen=True)
class Way:
    """How the loop is run: what its authors would try."""

    threads: int
    """Of torch in the training process."""
    loader_workers: int

    def __str__(self) -> str:
        return f"{self.threads} × {self.loader_workers}"


def ways() -> list[Way]:
    """One thread and all of them (torch's default), with each number of loader workers.

    On a shared virtual machine torch's threads wait for each other as soon as something else takes a core:
    3 to 300 images/s were seen for the same loop. A loop that stands still is not an opponent.
    """
    threads = sorted({1, len(os.sched_getaffinity(0))})
    return [Way(number, workers) for number in threads for workers in LOADER_WORKERS]


class ImageSet(TorchDataset):
    """A data set of torchvision's form: an array and a list; each image is decoded when it is asked for."""

    def __init__(self, dataset: ResidentDataset, transform: Callable[[Image.Image], Tensor]) -> None:
        self.data = dataset.train.images.numpy()
        self.targets = dataset.train.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def image_set(config: DataConfig) -> ImageSet:
    """The benchmark's images with the transforms of `data.augment`."""
    from torchvision import transforms

    dataset = bench_images(config)
    steps: list[Any] = []
    if config.augment != "none":
        steps.append(transforms.RandomCrop(dataset.train.stored.shape[1], padding=config.padding))
    if config.augment == "crop_flip":
        steps.append(transforms.RandomHorizontalFlip())
    steps += [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
    return ImageSet(dataset, transforms.Compose(steps))


def tutorial_loop(config: RunConfig, seconds: float, start: Callable[[], object], *, way: Way) -> Speed:
    """One process, a `DataLoader`, the same model, eager, `loss.item()` after each step."""
    device = resolve_device(config.device)
    torch.set_num_threads(way.threads)
    torch.backends.cudnn.benchmark = True
    reset_peak_memory(device)
    size = batch_sizes(config.protocol, config.batch_size).sgd_batch_size
    # of more loader workers than cores, which are tried too
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    loader = DataLoader(
        image_set(config.data),
        batch_size=size,
        shuffle=True,
        drop_last=True,
        num_workers=way.loader_workers,
        pin_memory=device.type == "cuda",
        # as scripts have it on Linux; this process would hand on its own way of starting others
        multiprocessing_context="fork" if way.loader_workers else None,
    )
    steps = _training(at_standstill(config), loader, device)
    for _ in range(2 * way.loader_workers + 3):  # the loader's workers have no head start any more
        next(steps)
    start()
    count, elapsed = time_steps(lambda: next(steps), seconds, device)
    steps.close()  # ends the loader's processes, so that their memory is known
    memory = peak_memory_bytes(device)
    if device.type != "cuda":
        memory += way.loader_workers * _peak_of_ended_processes()
    return Speed(count * size, elapsed, memory)


def _training(config: RunConfig, loader: DataLoader, device: torch.device) -> Generator[float]:
    """The loop itself, epoch after epoch: yields the sum of the losses after each step."""
    sizes = batch_sizes(config.protocol, config.batch_size)
    model = build_network(config, norm_layers(config, sizes), bench_images(config.data)).to(device)
    forward = with_precision(model, config.precision, device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=scaled_lr(config.optimizer, sizes.sgd_batch_size),
        momentum=config.optimizer.momentum,
        nesterov=config.optimizer.nesterov,
        weight_decay=config.optimizer.weight_decay,
    )
    total = 0.0
    while True:
        for x, y in loader:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            optimizer.zero_grad()
            loss = F.cross_entropy(forward(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
            yield total


def _peak_of_ended_processes() -> int:
    """Resident bytes of the ended child process that had most."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
