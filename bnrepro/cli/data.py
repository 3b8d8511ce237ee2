"""`bnrepro data`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import output_directory

app = typer.Typer(help="Look after data sets.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look after data sets."""


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="imagenet or image_stream.")],
    root: Annotated[
        Path,
        typer.Option(metavar="DIR", help="What data.root is: holds train/ and val/.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=output_directory, metavar="DIR", help="Where the copy goes; default ROOT-SIZE."),
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of the shorter side; smaller images stay.")] = 256,
) -> None:
    """Write a resized copy (JPEG, quality 95), which decodes several times as fast, and check every image.

    Example: bnrepro data prepare imagenet --root /data/imagenet

    The same command continues an interrupted one. Train on it with data.root=OUT; its random crops are cut
    from fewer pixels, and outputs say so.
    """
    from bnrepro.config.compose import compose_config
    from bnrepro.config.errors import UsageError
    from bnrepro.config.overrides import quoted
    from bnrepro.data import load_data
    from bnrepro.data.streaming.dataset import StreamedDataset
    from bnrepro.data.streaming.prepare import prepare as write_copy

    config = compose_config([f"data={quoted(name)}", f"data.root={quoted(str(root))}"]).data
    if config.stream is None:
        raise UsageError(f"{name}: is kept in memory, so it needs no copy; choices: imagenet, image_stream")
    if size < config.stream.resize_size:
        raise UsageError(
            f"--size {size}: evaluation needs {config.stream.resize_size}, data.stream.resize_size"
        )
    dataset = load_data(config)
    assert isinstance(dataset, StreamedDataset)
    target = out or root.with_name(f"{root.resolve().name}-{size}")
    write_copy(dataset, target, size, config.max_pixels)
    typer.echo(
        f"{len(dataset.train):,} training and {len(dataset.test):,} evaluation images: data.root={target}"
    )
