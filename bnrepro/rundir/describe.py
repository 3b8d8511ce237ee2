"""A result in a line. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnrepro.config.errors import one_line


def describe(result: Mapping[str, Any], at: str | None = None) -> str:
    """`bn, batch size 4, seed 0: error 51.2 % (running), 50.1 % (precise) …`, or what went wrong.

    `at`: what stands in the place of the batch size, in a sweep over something else.
    """
    return one_line(_described(result, at or f"batch size {result['batch_size']}"))


def _described(result: Mapping[str, Any], at: str) -> str:
    head = f"{result['norm']}, {at}, seed {result['seed']}"
    if result["status"] == "failed":
        return f"{head}: failed: {result['message']}"
    if skipped := result.get("skipped_files"):
        head += f" ({len(skipped)} unreadable files left out)"
    errors = ", ".join(f"{value:.2f} % ({name})" for name, value in result["error"].items())
    if result["status"] == "diverged":
        return f"{head}: diverged: {result['message']}; error of chance {errors}"
    speed = f"{result['images_per_second']:,.0f} images/s, {result['wall_seconds']:.0f} s"
    return f"{head}: error {errors}; {speed}"


def counted(number: int, noun: str) -> str:
    """`1 cell`, `1,024 cells`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
