"""`bnrepro diagnose`: which layers small batches hurt, before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides, output_directory
from bnrepro.config.errors import UsageError


def diagnose(
    overrides: Overrides = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Weights of this network: a run's checkpoint.pt, or a state dict.",
            show_default="freshly drawn",
        ),
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", help="Training images to look at.")] = 2048,
    bound: Annotated[float, typer.Option(metavar="X", help="Noise of σ² that is small enough.")] = 0.2,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=output_directory,
            metavar="DIR",
            help="Where to write the table and the figure.",
            show_default="results/runs/diagnosis-<model>-<data>",
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Which layers small batches will hurt: how noisy each batch norm's statistics are over n images.

    Example: bnrepro diagnose model=resnet8 data=digits

    A column per n: the standard deviation of σ² over batches of n images, relative to its mean. One pass over
    training images; nothing is trained. `enough`: from which n on the noise is below --bound. With a
    checkpoint also how far the running statistics are off, from those of all the images.
    """
    from bnrepro.config.compose import compose_config

    if images < 1:
        raise UsageError(f"--images {images}: must be 1 or more")
    if not bound > 0:
        raise UsageError(f"--bound {bound:g}: must be above 0")
    if checkpoint is not None and not checkpoint.is_file():
        raise UsageError(f"--checkpoint {checkpoint}: no such file")
    config = compose_config(overrides or [], config_dir)

    from dataclasses import asdict

    from bnrepro.cli.columns import columns
    from bnrepro.config.errors import one_line
    from bnrepro.training.diagnosis import diagnose_config

    rows = [asdict(layer) for layer in diagnose_config(config, images, bound, checkpoint)]

    from bnrepro.analysis.clean_matplotlib import import_matplotlib

    import_matplotlib()
    from bnrepro.analysis.diagnosis import text_table, write_diagnosis

    names, *lines = text_table(rows, trained=checkpoint is not None)
    for line in columns(names, lines, right=names[1:]):
        typer.echo(line)
    model = f"{config.model.name} {config.model.options.get('arch', '')}".strip()
    title = f"{model}, {config.data.name}, {'trained' if checkpoint else 'as drawn'}"
    directory = out or Path(f"results/runs/diagnosis-{model.replace(' ', '-')}-{config.data.name}")
    for path in write_diagnosis(directory, rows, bound, title):
        typer.echo(one_line(str(path)))
