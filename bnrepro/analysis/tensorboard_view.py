"""The figures as images in TensorBoard. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from bnrepro.config.errors import UsageError
from bnrepro.rundir.files import remove
from bnrepro.rundir.tensorboard import EventFile

SUFFIX = ".figures"


def show_images(directory: Path, images: Mapping[str, bytes]) -> None:
    """Put PNG files into `directory` by tag, in the place of those of the last call.

    Raises `StorageError`, and `UsageError` where `directory` is a link: what is behind it is not ours.
    """
    if directory.is_symlink():
        raise UsageError(f"{directory}: is a link, and files behind it are not replaced; remove it")
    old = list(directory.glob(f"events.out.tfevents.*{SUFFIX}"))
    events = EventFile(directory, SUFFIX)
    for tag, png in images.items():
        events.write(Summary(value=[_image(tag, png)]), 0)
    events.close()
    for file in old:
        remove(file)


def _image(tag: str, png: bytes) -> Summary.Value:
    with Image.open(BytesIO(png)) as image:
        width, height = image.size
    return Summary.Value(
        tag=tag,
        image=Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png),
    )
