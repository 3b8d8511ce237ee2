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
MOST_GROUPS = 256
"""Normalization batches of one size that are looked at: their spread is then known to 5 %."""


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
    found = {name: Moments(_channels(m), next(model.parameters()).device) for name, m in layers.items()}

    def note(name: str, values: Tensor) -> None:
        mean = values.mean(2)
        found[name].add(mean, (values - mean[:, :, None]).square().mean(2))

    with _watched(model, layers, note):
        for x in _images(model, batches):
            model(x)
    if not all(moments.groups for moments in found.values()):
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
    """For each batch norm, in the model's order: how noisy its statistics are over n images.

    The noise is that of `spread_mean` and `spread_var` in `metrics.jsonl`. Each batch is cut into
    normalization batches of n images, for every n of `sizes` (powers of two up to the first batch's size),
    and the network is shown them as in training with n images, until `MOST_GROUPS` of a size were seen. One
    pass over the data, whose images must come in random order; nothing is trained: it is of the network as
    it is.

    Raises `UsageError` for a model without batch norm, or where there is no batch.
    """
    layers = _batch_norms(model)
    if not layers:
        raise UsageError(f"{type(model).__name__}: has no batch norm")
    found: dict[str, dict[int, Moments]] = {name: {} for name in layers}
    pixels: dict[str, int] = {}
    shown: dict[int, int] = {}

    def note(name: str, values: Tensor) -> None:
        """`values: (n, C, H · W)`."""
        pixels[name] = values.shape[2]
        mean = values.mean((0, 2))
        var = (values - mean[:, None]).square().mean((0, 2))
        found[name].setdefault(len(values), Moments(len(mean), mean.device)).add(mean[None], var[None])

    with _watched(model, layers, note), _groups_are_batches(model):
        for x in _images(model, batches):
            for n in sizes or list(shown) or _powers_of_two(len(x)):
                groups = min(len(x) // n, MOST_GROUPS - shown.setdefault(n, 0))
                for group in x.split(n)[:groups]:
                    _show(model, group)
                shown[n] += groups
    if not any(shown.values()):
        raise UsageError("there is no batch to look at")
    used = sorted(n for n, groups in shown.items() if groups)
    return [
        _diagnosis(name, layer, found[name], pixels.get(name, 0), used, bound)
        for name, layer in layers.items()
    ]


def _show(model: nn.Module, group: Tensor) -> None:
    """One forward pass. It ends at a layer with one value per channel: those behind see nothing."""
    try:
        model(group)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise


def _diagnosis(
    name: str, layer: nn.Module, found: dict[int, Moments], pixels: int, sizes: Sequence[int], bound: float
) -> LayerDiagnosis:
    spread = {n: moments.spread() for n, moments in found.items()}
    noise_var = {n: spread[n][1] if n in spread and n * pixels > 1 else math.inf for n in sizes}
    noisy = [n for n, noise in noise_var.items() if noise >= bound]
    enough = [n for n in noise_var if not noisy or n > max(noisy)]
    return LayerDiagnosis(
        layer=name,
        channels=_channels(layer),
        pixels=pixels,
        distances=_distances(layer, found[max(found)]) if found else {},
        noise_mean={n: spread[n][0] for n in sizes if n in spread},
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


def _images(model: nn.Module, batches: Batches) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    for batch in batches:
        yield (batch if isinstance(batch, Tensor) else batch[0]).to(device)


@contextmanager
def _watched(
    model: nn.Module, layers: dict[str, nn.Module], note: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Batch norms as in training, the rest as in evaluation; `note` gets a layer's input, `(N, C, H · W)`."""

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].flatten(2) if inputs[0].dim() > 2 else inputs[0][:, :, None]
            note(name, x if x.dtype == torch.float64 else x.float())

        return hook

    with _with_batch_statistics(model), ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(watch(name)).remove)
        yield


@contextmanager
def _groups_are_batches(model: nn.Module) -> Iterator[None]:
    """Layers that cut a batch into groups take it whole."""
    layers = [module for module in model.modules() if isinstance(module, BatchStatistics)]
    before = [layer.norm_batch_size for layer in layers]
    try:
        for layer in layers:
            layer.norm_batch_size = None
        yield
    finally:
        for layer, size in zip(layers, before, strict=True):
            layer.norm_batch_size = size


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
