"""The device of a run, its settings and its memory."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
from pathlib import Path

import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names of glibc's options in `malloc.h`."""


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU. Raises `UsageError` for a device that is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name.split(":")[0]]:
        there = ", ".join(kind for kind, yes in available.items() if yes)
        raise UsageError(f"device={name}: not available here; there is {there}")
    return torch.device(name)


def prepare_device(config: RunConfig) -> torch.device:
    """Set threads and determinism of this process. Raises `UsageError` for what the device cannot do."""
    device = resolve_device(config.device)
    if config.precision == "bf16" and device.type != "cuda":
        raise UsageError(
            f"precision=bf16: only on cuda, and the device is {device.type}; add precision=float32"
        )
    torch.set_num_threads(config.threads)
    if device.type == "cpu":
        _keep_freed_memory()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    if config.deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(config.deterministic)  # loads torch's compiler, whatever it sets
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # streams and graphs are of the current device
    return device


def _keep_freed_memory() -> None:
    """Let the C library keep a step's activations for the next step, instead of returning them to the system.

    Otherwise each step maps its pages anew and the system clears them: 20,000 page faults in a step of five
    16-channel layers at batch 128, a third of its time (a quarter at batch 16). Does nothing where the C
    library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def device_name(device: torch.device) -> str:
    """The name that tables and figures show."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()} ({device.type})"


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def free_memory(device: torch.device) -> None:
    """Releases the GPU memory of finished runs (reference cycles need gc)."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """On a GPU the peak counts from here, without finished runs."""
    if device.type == "cuda":
        free_memory(device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """The device's peak in this run on CUDA; elsewhere the process's peak since it started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def wait_for(device: torch.device) -> None:
    """Wait until the device has done everything that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
