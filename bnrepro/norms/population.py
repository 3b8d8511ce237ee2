"""The statistics of the whole population, for any network with batch norms, torch's or ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.config.errors import UsageError
from bnrepro.norms.batch_statistics import BatchStatistics, using_batch_statistics
from bnrepro.norms.moments import Moments

Batches = Iterable[Tensor | Sequence[Tensor]]
"""Images `(N, C, H, W)`, or pairs of images and labels."""
BOUND = 0.2


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Batches) -> None:
    """Set the running statistics of every batch norm to those of `batches` ("precise" batch norm).

    μ = E[μ_B] and σ² = E[μ_B² + σ_B²] − E[μ_B]² with the biased σ_B² (1/m): mean and variance of all values
    (Wu & Johnson 2021). Every layer normalizes with the batch's own statistics meanwhile, as in training, so
    that the batches should be as large as those that it was trained with; dropout is off. Weights, modes and
    counters stay. Raises `UsageError` for a model without running statistics, or where there is no batch.
    """
    layers = {name: m for name, m in _batch_norms(model).items() if _running(m) is not None}
    if not layers:
        raise UsageError(f"{type(model).__name__}: has no batch norm with running statistics")
    found = {name: Moments(_channels(m), _device(model)) for name, m in layers.items()}

    def note(name: str, means: Tensor, variances: Tensor) -> None:
        found[name].add(means, variances)

    if not _pass(model, batches, layers, note):
        raise UsageError("there is no batch to compute statistics from")
    for name, layer in layers.items():
        for key, value in _buffers(layer, found[name].mean, found[name].var).items():
            getattr(layer, key).copy_(value)


@dataclass(frozen=True)
class LayerDiagnosis:
    """What small normalization batches do to one batch norm."""

    layer: str
    channels: int
    pixels: int
    """Values of a channel in one image, H · W."""
    distances: dict[str, float]
    """Running buffer -> how far it is from the population's: ‖running − population‖ / ‖population‖ over the
    channels, for a mean in units of the population's σ. Empty for a layer without running statistics."""
    noise_mean: dict[int, float] = field(default_factory=dict)
    """Images n of a normalization batch -> standard deviation of μ_B over batches, in units of the
    population's σ and averaged over the channels."""
    noise_var: dict[int, float] = field(default_factory=dict)
    """n -> coefficient of variation of σ²_B: its standard deviation over batches by its mean. Infinite where
    a batch has one value per channel, so that σ²_B = 0: nothing can be trained."""
    enough: int | None = None
    """The n from which on the noise of σ²_B is below the bound; None: none of those that were looked at."""


@torch.no_grad()
def diagnose(
    model: nn.Module, batches: Batches, sizes: Sequence[int] | None = None, bound: float = BOUND
) -> list[LayerDiagnosis]:
    """For each batch norm, in the model's order: how noisy its statistics are over n images, from one pass.

    The noise is that of `spread_mean` and `spread_var` in `metrics.jsonl`. Every layer normalizes with the
    whole batch's own statistics meanwhile, and each batch is cut into groups of n images, for every n of
    `sizes` (powers of two up to the first batch's size). The images must come in random order.

    Nothing is trained: it is of the network as it is. The first layer's noise is what training with n images
    has. That of later layers is an upper bound in practice: where the layers before them normalize with n
    images too, they take away what the images of a group have in common (measured in norms/README.md).

    Raises `UsageError` for a model without batch norm, or where there is no batch.
    """
    layers = _batch_norms(model)
    if not layers:
        raise UsageError(f"{type(model).__name__}: has no batch norm")
    found: dict[str, dict[int, Moments]] = {name: {} for name in layers}
    pixels: dict[str, int] = {}

    def note(name: str, means: Tensor, variances: Tensor) -> None:
        for n in sizes or _powers_of_two(len(means)):
            if groups := len(means) // n:
                one = found[name].setdefault(n, Moments(means.shape[1], means.device))
                one.add(*_grouped(means, variances, n, groups))

    if not _pass(model, batches, layers, note, pixels):
        raise UsageError("there is no batch to look at")
    return [
        _diagnosis(name, layer, found[name], pixels[name], bound)
        for name, layer in layers.items()
        if found[name]
    ]


def _diagnosis(
    name: str, layer: nn.Module, found: dict[int, Moments], pixels: int, bound: float
) -> LayerDiagnosis:
    whole = next(iter(found.values()))
    spread = {n: moments.spread() for n, moments in sorted(found.items())}
    noise_var = {n: math.inf if n * pixels == 1 else var for n, (_, var) in spread.items()}
    noisy = [n for n, noise in noise_var.items() if noise >= bound]
    enough = [n for n in noise_var if not noisy or n > max(noisy)]
    return LayerDiagnosis(
        layer=name,
        channels=_channels(layer),
        pixels=pixels,
        distances=_distances(layer, whole),
        noise_mean={n: mean for n, (mean, _) in spread.items()},
        noise_var=noise_var,
        enough=min(enough, default=None),
    )


def _distances(layer: nn.Module, whole: Moments) -> dict[str, float]:
    if _running(layer) is None:
        return {}
    distances = {}
    for key, population in _buffers(layer, whole.mean, whole.var).items():
        unit = whole.var.clamp_min(0).sqrt() if key.endswith("mean") else population
        away = (getattr(layer, key).double() - population).norm()
        distances[key] = (away / unit.norm().clamp_min(1e-30)).item()
    return distances


def _powers_of_two(most: int) -> list[int]:
    return [2**power for power in range(most.bit_length()) if 2**power <= most]


def _grouped(means: Tensor, variances: Tensor, n: int, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of groups of n images, `(groups, C)`, from every image's own, `(N, C)`."""
    own, var = (values[: groups * n].unflatten(0, (groups, n)) for values in (means, variances))
    mean = own.mean(1)
    return mean, (var + (own - mean[:, None]).square()).mean(1)


def _pass(
    model: nn.Module,
    batches: Batches,
    layers: dict[str, nn.Module],
    note: Callable[[str, Tensor, Tensor], None],
    pixels: dict[str, int] | None = None,
) -> int:
    """Show the model every batch; `note` gets each image's mean and biased variance in a layer, `(N, C)`.

    Returns the number of batches.
    """

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].flatten(2) if inputs[0].dim() > 2 else inputs[0][:, :, None]
            x = x.double() if x.dtype == torch.float64 else x.float()
            if pixels is not None:
                pixels[name] = x.shape[2]
            mean = x.mean(2)
            note(name, mean, (x - mean[:, :, None]).square().mean(2))

        return hook

    device, seen = _device(model), 0
    with _with_batch_statistics(model), ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(watch(name)).remove)
        for batch in batches:
            images = batch if isinstance(batch, Tensor) else batch[0]
            model(images.to(device))
            seen += 1
    return seen


@contextmanager
def _with_batch_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norms as in training, the rest as in evaluation; everything as it was afterwards."""
    modes = {module: module.training for module in model.modules()}
    torchs = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    kept = [(layer, layer.momentum, layer.num_batches_tracked) for layer in torchs]
    model.eval()
    try:
        for layer in torchs:
            layer.train()
            layer.momentum = 0.0  # the running statistics stay
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked = layer.num_batches_tracked.clone()
        with using_batch_statistics(model):
            yield
    finally:
        for layer, momentum, counted in kept:
            layer.momentum, layer.num_batches_tracked = momentum, counted
        for module, training in modes.items():
            module.training = training


def _batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm | BatchStatistics)}


def _running(layer: nn.Module) -> Tensor | None:
    """Some running buffer of the layer, if it has any."""
    if isinstance(layer, BatchStatistics):
        return next(iter(getattr(layer, key) for key in layer.averages), None)
    return layer.running_mean  # type: ignore[return-value]


def _buffers(layer: nn.Module, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
    if isinstance(layer, BatchStatistics):
        return layer.population_buffers(mean, var)
    return {"running_mean": mean, "running_var": var}


def _channels(layer: nn.Module) -> int:
    return layer.weight.numel() if isinstance(layer, BatchStatistics) else layer.num_features  # type: ignore[return-value]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
