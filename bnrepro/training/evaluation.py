"""The error under each of the statistics that batch norm may use at evaluation (DESIGN: the words)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.data.resident import ResidentFeed, epoch_table, evaluation_order
from bnrepro.norms.batch_statistics import batch_statistics_layers, looking_on, replaced_buffers
from bnrepro.training.moments import LayerMoments, observed_moments

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluator:
    """Evaluates one model; leaves its parameters, running buffers and the training streams alone."""

    model: nn.Module
    forward: Forward
    """The model under the run's precision: `x: (N, C, H, W)` to logits."""
    train: ResidentFeed
    test: ResidentFeed
    batch_size: int
    norm_batch_size: int
    precise_images: int
    seed: int

    @torch.inference_mode()
    def errors(self, statistics: Iterable[str], epoch: int) -> tuple[dict[str, float], LayerMoments | None]:
        """Top-1 error in percent under each of `statistics` that has a meaning for the norm.

        Also the layers' moments behind `precise`, where that was asked for. `epoch` picks the draws of the
        training images behind `precise`.
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
                with looking_on(self.model):
                    errors[statistic] = self._error(self._shuffled_groups())
        self.model.train()
        return errors, moments

    def moments(self, epoch: int) -> LayerMoments:
        """Each layer's moments over training images, in equal groups of `norm_batch_size`.

        With training's augmentation, in an order and with draws of their own.
        """
        table = epoch_table(
            self.seed, epoch, len(self.train), self.train.padding, self.train.augment, stream="precise"
        )
        images = min(self.precise_images, len(self.train))
        images -= images % self.norm_batch_size
        with looking_on(self.model), observed_moments(self.model) as moments:
            for start, stop in self._slices(images):
                self.forward(self.train.batches(table, slice(start, stop))[0])
        return moments

    def _slices(self, images: int) -> Iterator[tuple[int, int]]:
        """Forward passes of whole groups, about `batch_size` images each."""
        size = max(1, self.batch_size // self.norm_batch_size) * self.norm_batch_size
        for start in range(0, images, size):
            yield start, min(start + size, images)

    def _fixed_batches(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        for start in range(0, len(self.test), self.batch_size):
            x, y = self.test.plain(slice(start, start + self.batch_size))
            yield x, y, len(y)

    def _shuffled_groups(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """One shuffled order; the last group is filled up from its start, and those are not counted."""
        images = len(self.test)
        order = evaluation_order(images)
        missing = -images % self.norm_batch_size
        filled = torch.cat([order, order.repeat(missing // images + 1)[:missing]])
        for start, stop in self._slices(len(filled)):
            x, y = self.test.plain(filled[start:stop])
            yield x, y, min(stop, images) - start

    def _error(self, batches: Iterable[tuple[Tensor, Tensor, int]]) -> float:
        wrong = torch.zeros((), dtype=torch.int64, device=self.test.device)
        for x, y, counted in batches:
            guesses = self.forward(x).argmax(1)
            wrong += (guesses[:counted] != y[:counted]).sum()
        return 100.0 * wrong.item() / len(self.test)
