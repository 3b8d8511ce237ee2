"""The whole configuration of a run, as frozen dataclasses.

Hydra composes `configs/` into a tree of these names; `compose.py` checks it against this schema and
builds the dataclasses. The rest of the program sees nothing of OmegaConf. Defaults live in the YAML
files, each with where it comes from: here are only names and types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class StreamConfig:
    """Images that are read and decoded while training, from sets that are larger than memory."""

    feed: str
    """`torch` (torchvision's decoder in loader processes) or `dali` (NVIDIA DALI, on the GPU if there is
    one)."""
    workers: int | None
    """Loader processes beside each training process; 0: none; None: one per core, at most 8."""
    crop_size: int
    """Height and width in pixels of what the network sees."""
    resize_size: int
    """Evaluation: the shorter side in pixels before the centre crop."""
    min_area: float
    """Training: smallest part of the image's area that a random resized crop takes."""
    jitter: float
    """Brightness, contrast and saturation are scaled by 1 ± this; 0: not at all."""
    lighting: float
    """Standard deviation of the noise along the principal components of colour; 0: none."""


@dataclass(frozen=True)
class DataConfig:
    name: str
    """A key of `bnrepro.data.DATA`."""
    root: str | None
    cache_dir: str | None
    """Where decoded image tensors are kept; None: `$XDG_CACHE_HOME/bnrepro` or `~/.cache/bnrepro`."""
    download: bool
    train_subset: int | None
    """Class-balanced subset of the training set; None: all of it."""
    subset_seed: int
    image_size: int | None
    """Height and width in pixels that images are resized to; None: as they are."""
    skip_corrupt: bool
    memory_budget_gb: float
    """Decoded sets larger than this are refused (GiB)."""
    augment: str
    """`none`, `crop` or `crop_flip`."""
    padding: int
    """Zero pixels on each side before the random crop."""
    base_lr: float
    """What `optimizer.base_lr` is unless set: the rate found for this data set, one for every norm."""
    task: str = "classes"
    """`classes`, or `parity`: is the number of the image's class odd?"""
    test_images: int | None = None
    """Size of the test set, of data sets whose source has no split; None: the source's own test set."""
    max_pixels: int = 178_956_970
    """Images of more pixels are refused: decoding one may need more memory than there is."""
    factory: str | None = None
    """`module:callable` or `file.py:callable` of a data set outside the package (`bnrepro.data.own`)."""
    options: Mapping[str, Any] | None = field(default=None, hash=False)
    """Keyword arguments of that factory."""
    stream: StreamConfig | None = None
    """Only of data sets that are streamed."""


@dataclass(frozen=True)
class ModelConfig:
    name: str
    """A key of `bnrepro.models.MODELS`."""
    zero_init_last: bool
    """Start the weight of each block's last norm at 0 (Goyal et al. 2017) instead of 1."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the model's factory."""
    factory: str | None = None
    """`module:callable` or `file.py:callable` of a network outside the package."""


@dataclass(frozen=True)
class NormConfig:
    name: str
    """What the command line calls it, and a key of `bnrepro.norms.NORMS` unless `factory` is given."""
    label: str | None = None
    """What figures call it, with the values of its options (`bnrepro.config.labels`); None: the name."""
    factory: str | None = None
    """`module:callable` or `file.py:callable` of a norm outside the package."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory."""


@dataclass(frozen=True)
class ProtocolConfig:
    name: str
    """`coupled`, `workers` or `fixed_sgd` (`bnrepro/README.md`, the words)."""
    workers: int
    sgd_batch_size: int | None
    """Only `fixed_sgd`: images behind one optimizer step, whatever the batch size."""
    norm_batch_size: int | None = None
    """Only `coupled`: images that batch norm takes its statistics from, more than those behind the loss."""


@dataclass(frozen=True)
class OptimizerConfig:
    name: str
    base_lr: float
    """Learning rate at an SGD batch of 256 images."""
    scaling: str
    """`linear` (Goyal et al. 2017), `sqrt` or `none`: from 256 to the cell's SGD batch."""
    momentum: float
    """`adam`: β1."""
    nesterov: bool
    weight_decay: float
    beta2: float | None = None
    """Only `adam`."""
    eps: float | None = None
    """Only `adam`: ε beside the root of the second moment."""
    clip_norm: float | None = None
    """Gradients of a larger l2 norm, all parameters together, are scaled down to it; None: not."""


@dataclass(frozen=True)
class ScheduleConfig:
    name: str
    """`cosine` or `step`."""
    warmup_epochs: float
    """Linear, from `optimizer.base_lr` to the scaled rate where that is higher (Goyal et al. 2017, §2.2)."""
    warmup_above_lr: float
    """Warm up only where the scaled rate exceeds this too."""
    milestones: tuple[float, ...]
    """Only `step`: the epochs after which the rate is multiplied by `gamma`."""
    gamma: float


@dataclass(frozen=True)
class EvaluationConfig:
    every: int
    """Epochs between intermediate evaluations; 0: only those that the run's error needs."""
    statistics: tuple[str, ...]
    """What intermediate evaluations compute: `running`, `precise`, `batch`."""
    precise_images: int
    """Training images behind the `precise` statistics (the whole set where it is smaller)."""
    batch_size: int
    """Images per forward pass of an evaluation; results do not depend on it under `running`."""


@dataclass(frozen=True)
class CheckpointConfig:
    every_minutes: float
    """Within an epoch; every epoch's end is saved anyway."""


@dataclass(frozen=True)
class SweepConfig:
    norms: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    reference: str | None
    """Published points to draw beside ours: a key of `bnrepro.analysis.reference.REFERENCES`."""


@dataclass(frozen=True)
class RunConfig:
    """One run. `launcher`, `lock`, `sweep` and `tensorboard` cannot change a number; everything else may."""

    experiment: str
    """Names the default output directory; an `experiment/` file sets it."""
    seed: int
    batch_size: int
    """Images per worker: the x axis."""
    epochs: int
    device: str
    """`auto`, `cpu`, `cuda`, `mps`."""
    threads: int
    """CPU threads of one process: float32 rounding depends on it."""
    precision: str
    """`float32` (a GPU's convolutions: TF32, PyTorch's default) or `bf16` (autocast; norm statistics and the
    loss stay in float32)."""
    deterministic: bool
    capture: bool | Literal["auto"]
    """Capture the training step and replay it, in runs of one process: as a CUDA graph on a GPU, as a list of
    operations on a CPU (where it pays), with the same numbers. `auto`: where that fails on a GPU, take the
    steps one by one; true: the run fails there."""
    compile: bool
    """Train through `torch.compile`; evaluation stays eager."""
    tensorboard: bool
    data: DataConfig
    model: ModelConfig
    norm: NormConfig
    protocol: ProtocolConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    evaluation: EvaluationConfig
    checkpoint: CheckpointConfig
    sweep: SweepConfig
    launcher: Mapping[str, Any]
    micro_batch_size: int | None = None
    """Images of one forward pass in training, about: whole normalization batches; None: the process's whole
    part of an SGD batch. Saves memory; changes neither statistics nor gradients."""
    lock: str = "on"
    """`on`: one process at a time on a directory; `off`: on a file system without locks."""
    probes: tuple[str, ...] = ()
    """What is measured inside the network while it trains: keys of `bnrepro.probes.PROBES`."""
    probe_steps: tuple[int, ...] | None = None
    """After how many training steps; None: 0 and 20 points on a logarithmic scale."""
