"""`env.json`: code, versions, device and command of a run."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import bnrepro
from bnrepro.training.process.device import device_name

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "scikit-learn")


def environment(device: torch.device) -> dict[str, Any]:
    """Commit and dirty flag, versions, device and command of this process."""
    commit, dirty = _git()
    return {
        "bnrepro": bnrepro.__version__,
        "commit": commit,
        "dirty": dirty,
        "command": shlex.join(["bnrepro", *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": _versions(),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32 if device.type == "cuda" else None,
        "device": device_name(device),
    }


@cache  # a worker of a sweep asks for every cell
def _versions() -> dict[str, str | None]:
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def _git() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout that the code runs from; None without one."""
    folder = Path(bnrepro.__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != folder:
            return None, None  # installed somewhere inside another project's checkout
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return None, None
