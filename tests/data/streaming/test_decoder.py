"""Every file is read right, whatever it is: ImageNet has grayscale, CMYK and PNG files called JPEG."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import photo
from PIL import Image

from bnrepro.data.streaming import decoder as module
from bnrepro.data.streaming.decoder import Decoder, decode, jpeg_shape
from bnrepro.data.streaming.draws import WINDOW, crop_window

NAME, MOST = Path("a.jpg"), 10**9
UNIFORM = np.random.default_rng(0).random((20, WINDOW.stop))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_are_decoded_as_pillow_does(mode, progressive):
    data = encoded(photo(41, 67).convert(mode), quality=95, progressive=progressive)
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(decode(data, NAME, MOST).permute(1, 2, 0).numpy(), want)
    assert jpeg_shape(data) == (41, 67)


def test_a_png_called_jpeg_is_read_by_what_it_is(tmp_path):
    image = photo(30, 40)
    path = tmp_path / "n02105855_2933.JPEG"
    path.write_bytes(encoded(image, "PNG"))
    assert np.array_equal(decode(path.read_bytes(), NAME, MOST).permute(1, 2, 0).numpy(), np.asarray(image))
    assert jpeg_shape(path.read_bytes()) is None
    assert Decoder(16, 20, 0.08, MOST).train_crop(path, UNIFORM[0]).shape == (3, 16, 16)


@pytest.mark.parametrize("keep", [0, 1, 50, 0.5, -2])
def test_truncated_files_are_refused(keep):
    data = encoded(photo(40, 40), quality=95)
    cut = data[: int(len(data) * keep)] if isinstance(keep, float) else data[:keep]
    with pytest.raises((RuntimeError, OSError, ValueError)):
        decode(cut, NAME, MOST)


@pytest.mark.parametrize("crop_size", [16, 200])
def test_truncated_files_are_refused_in_training_at_any_scale(tmp_path, crop_size):
    """At 16 pixels they are decoded at reduced scale, by another decoder."""
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(300, 300), quality=95)[:-100])
    with pytest.raises((RuntimeError, OSError), match="truncated"):
        Decoder(crop_size, crop_size, 1.0, MOST).train_crop(path, UNIFORM[0])


def test_evaluation_crops_are_torchvisions(tmp_path):
    """The published protocol: shorter side 256, centre crop 224."""
    from torchvision.transforms import v2

    path = tmp_path / "a.jpg"
    for size in ((375, 500), (500, 333), (224, 224), (257, 256), (100, 90)):
        photo(*size).save(path)
        want = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])(decode(path.read_bytes(), NAME, MOST))
        assert torch.equal(Decoder(224, 256, 0.08, MOST).test_crop(path), want)


def test_training_crops_are_torchvisions_of_the_same_window(tmp_path):
    from torchvision.transforms.v2 import functional

    path = tmp_path / "a.jpg"
    photo(60, 80).save(path)
    for uniform in UNIFORM:
        window = crop_window(uniform, 60, 80, 0.08)
        want = functional.resized_crop(decode(path.read_bytes(), NAME, MOST), *window, [48, 48])
        assert torch.equal(Decoder(48, 54, 0.08, MOST).train_crop(path, uniform), want)


@pytest.mark.parametrize("reductions", [(2,), (4,), module.REDUCTIONS], ids=str)
def test_crops_decoded_at_reduced_scale_show_the_same(tmp_path, monkeypatch, reductions):
    """It is a shortcut for large images: the window must not move."""
    path = tmp_path / "a.jpg"
    photo(303, 407, grain=2).save(path, quality=95)
    decoder = Decoder(32, 36, 0.08, MOST)
    monkeypatch.setattr(module, "REDUCTIONS", reductions)
    short = torch.stack([decoder.train_crop(path, uniform) for uniform in UNIFORM])
    monkeypatch.setattr(module, "REDUCTIONS", (10**6,))
    whole = torch.stack([decoder.train_crop(path, uniform) for uniform in UNIFORM])
    assert (short.int() - whole.int()).abs().float().mean() < 2
    assert not torch.equal(short, whole)


def test_images_are_not_turned_by_their_exif_tag(tmp_path):
    """Nor do the paper's code and torchvision's loader: published numbers are on images as they lie there."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(30, 50), exif=exif)
    assert decode(data, NAME, MOST).shape == (3, 30, 50)
    assert jpeg_shape(data) == (30, 50)
