"""The figures as images in TensorBoard. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

SUFFIX = ".figures"


def show_images(directory: Path, images: Mapping[str, bytes]) -> None:
    """Put PNG files into `directory` by tag, in the place of those of the last call."""
    old = list(directory.glob(f"events.out.tfevents.*{SUFFIX}"))
    writer = EventFileWriter(str(directory), filename_suffix=SUFFIX)
    for tag, png in images.items():
        writer.add_event(Event(summary=Summary(value=[_image(tag, png)]), step=0))
    writer.close()
    for file in old:
        file.unlink()


def _image(tag: str, png: bytes) -> Summary.Value:
    with Image.open(BytesIO(png)) as image:
        width, height = image.size
    return Summary.Value(
        tag=tag,
        image=Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png),
    )
