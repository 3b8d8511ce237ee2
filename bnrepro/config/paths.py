"""Where the config groups lie."""

from __future__ import annotations

from pathlib import Path


def config_directory() -> Path:
    """`configs/` in a checkout, or the copy that travels in the wheel."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
