"""The error under each of the statistics that batch norm may use at evaluation: running, precise, batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.data.draws import evaluation_order
from bnrepro.data.feed import Feed
from bnrepro.norms.batch_statistics import batch_statistics_layers, replaced_buffers, using_batch_statistics
from bnrepro.training.layer_moments import LayerMoments, observed_moments
from bnrepro.training.process.distributed import World
from bnrepro.training.task import Task

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluator:
    """Evaluates one model. Its parameters, running buffers and random streams stay as they are."""

    model: nn.Module
    forward: Forward
    """The model under the run's precision: `x: (N, C, H, W)` to outputs `(N, classes)`."""
    task: Task
    train: Feed
    test: Feed
    batch_size: int
    norm_batch_size: int
    precise_images: int
    seed: int
    world: World

    @torch.inference_mode()
    def errors(self, statistics: Iterable[str], epoch: int) -> tuple[dict[str, float], LayerMoments | None]:
        """The error in percent under each of `statistics` that the norm has.

        Also the layers' moments that `precise` was computed from, where that was asked for. `epoch` picks the
        draws of its training images.
        """
        errors: dict[str, float] = {}
        moments = None
        self.model.eval()
        for statistic in statistics:
            if statistic == "running":
                errors[statistic] = self._error(self._fixed_batches())
            elif not batch_statistics_layers(self.model):
                continue
            elif statistic == "precise":
                moments = self.moments(epoch)
                with replaced_buffers(self.model, moments.population_buffers(self.model)):
                    errors[statistic] = self._error(self._fixed_batches())
            else:
                with using_batch_statistics(self.model):
                    errors[statistic] = self._error(self.shuffled_groups())
        self.model.train()
        return errors, moments

    @torch.inference_mode()
    def judged(self, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """`loss`, the mean, and `error` in percent of images and targets under running statistics.

        The images of all processes count.
        """
        loss, wrong, images = torch.zeros(3, device=self.test.device)
        self.model.eval()
        for x, y in batches:
            outputs = self.forward(x)
            loss += self.task.loss(outputs, y, "none").sum()
            wrong += self.task.wrong(outputs, y).sum()
            images += len(y)
        self.model.train()
        self.world.sum_(loss, wrong, images)
        return {"loss": (loss / images).item(), "error": (100 * wrong / images).item()}

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of the test images."""
        return self.test.test_batches(slice(*part) for part in self._slices(len(self.test), 1))

    def moments(self, epoch: int) -> LayerMoments:
        """Each layer's moments over training images, in equal groups of `norm_batch_size`.

        The images are augmented as in training, with an order and draws of their own.
        """
        table = self.train.table(self.seed, epoch, "precise")
        images = min(self.precise_images, len(self.train))
        images = max(images - images % self.norm_batch_size, self.norm_batch_size)
        with using_batch_statistics(self.model), observed_moments(self.model) as moments:
            parts = (slice(*part) for part in self._slices(images, self.norm_batch_size))
            for x, _ in self.train.train_batches(table, parts):
                self.forward(x)
        moments.sum_over(self.world)
        return moments

    def _slices(self, images: int, group: int) -> Iterator[tuple[int, int]]:
        """This process's forward passes: whole groups, about `batch_size` images each."""
        size = max(1, self.batch_size // group) * group
        for start in self.world.share(range(0, images, size)):
            yield start, min(start + size, images)

    def _fixed_batches(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        return ((x, y, len(y)) for x, y in self.test_batches())

    def shuffled_groups(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Groups in one shuffled order. The last one is filled up from its start; those do not count."""
        images = len(self.test)
        order = evaluation_order(images)
        missing = -images % self.norm_batch_size
        filled = torch.cat([order, order.repeat(missing // images + 1)[:missing]])
        slices = list(self._slices(len(filled), self.norm_batch_size))
        batches = self.test.test_batches(filled[start:stop] for start, stop in slices)
        for (start, stop), (x, y) in zip(slices, batches, strict=True):
            yield x, y, min(stop, images) - start

    def _error(self, batches: Iterable[tuple[Tensor, Tensor, int]]) -> float:
        wrong = torch.zeros((), dtype=torch.int64, device=self.test.device)
        for x, y, counted in batches:
            wrong += self.task.wrong(self.forward(x)[:counted], y[:counted]).sum()
        self.world.sum_(wrong)
        return 100.0 * wrong.item() / len(self.test)
