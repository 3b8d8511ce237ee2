"""What several commands say of their data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bnrepro.config.schema import RunConfig
    from bnrepro.data import Dataset

NAMED = 10


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what takes long, while it does."""
    from bnrepro.training.progress import Waiting

    waiting = Waiting(what)
    try:
        yield
    finally:
        waiting.end()


def announce_data(config: RunConfig, dataset: Dataset) -> None:
    """What is trained on what, and how much of it there is; the files that were left out."""
    sides = f"{len(dataset.train):,} training and {len(dataset.test):,} test images"
    typer.echo(
        f"{config.norm.name}, batch size {config.batch_size}, seed {config.seed} on {dataset.name}: "
        f"{sides} of {len(dataset.classes)} classes"
    )
    announce_skipped(dataset)


def announce_skipped(dataset: Dataset) -> None:
    """Name and count the files that `data.skip_corrupt=true` left out."""
    if not dataset.skipped:
        return
    named = ", ".join(dataset.skipped[:NAMED])
    more = f" and {len(dataset.skipped) - NAMED} more" if len(dataset.skipped) > NAMED else ""
    typer.echo(f"{len(dataset.skipped)} files could not be read and are left out: {named}{more}", err=True)
