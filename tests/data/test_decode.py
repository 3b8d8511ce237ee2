"""Image files of every kind to RGB."""

import io

import numpy as np
import pytest
from PIL import Image

from bnrepro.data.decode import decode_files, decode_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners() -> np.ndarray:
    """8×8: red, green / blue, white, in quarters of 4×4."""
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4, :4], pixels[:4, 4:], pixels[4:, :4], pixels[4:, 4:] = RED, GREEN, BLUE, WHITE
    return pixels


def test_rgb_png_is_read_exactly(tmp_path):
    Image.fromarray(corners()).save(tmp_path / "a.png")
    assert np.array_equal(decode_image(tmp_path / "a.png"), corners())


def test_grayscale_has_three_equal_channels(tmp_path):
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(gray).save(tmp_path / "a.png")
    assert np.array_equal(decode_image(tmp_path / "a.png"), np.repeat(gray[..., None], 3, axis=2))


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = corners()[..., 0] > 128
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert np.array_equal(decode_image(tmp_path / "a.png")[..., 1], bits * np.uint8(255))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grayscale_keeps_its_gradient(tmp_path, suffix):
    """Pillow alone cuts everything above 255 of 65535 off: the image would be white."""
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    decoded = decode_image(tmp_path / f"a.{suffix}")
    assert np.abs(decoded[..., 0] - values / 257).max() <= 0.5
    assert decoded[0, 0].tolist() == [0, 0, 0]
    assert decoded[-1, -1].tolist() == [255, 255, 255]


def test_cmyk_jpeg_has_the_right_colours(tmp_path):
    """Photoshop's inverted CMYK, read naively, is a negative."""
    Image.fromarray(corners()).convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "CMYK"
    assert np.abs(decode_image(tmp_path / "a.jpg").astype(int) - corners()).max() <= 8


def test_palette(tmp_path):
    Image.fromarray(corners()).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
    assert np.array_equal(decode_image(tmp_path / "a.png"), corners())


def test_palette_with_transparency_keeps_its_colours_without_a_warning(tmp_path):
    """Warnings are errors here; in a run they would come once per image."""
    image = Image.fromarray(corners()).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 255]))
    assert np.array_equal(decode_image(tmp_path / "a.png"), corners())


def test_alpha_channel_is_dropped(tmp_path):
    alpha = np.full((8, 8, 1), 7, dtype=np.uint8)
    Image.fromarray(np.concatenate([corners(), alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(decode_image(tmp_path / "a.png"), corners())


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(3, lambda p: p[::-1, ::-1]), (6, lambda p: np.rot90(p, -1)), (8, np.rot90), (2, lambda p: p[:, ::-1])],
)
def test_exif_orientation_is_applied(tmp_path, orientation, turn):
    """Phones store photographs lying on their side."""
    pixels = corners()[:, :6]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(decode_image(tmp_path / "a.png"), turn(pixels))


@pytest.mark.parametrize(("height", "width"), [(40, 64), (64, 40), (16, 16), (5, 9)])
def test_resize_takes_the_centre_square(tmp_path, height, width):
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode_image(tmp_path / "a.png", image_size=8)
    assert decoded.shape == (8, 8, 3)
    assert (decoded[1:-1, 1:-1] == 200).all()


def test_resize_is_antialiased(tmp_path):
    """Without it, 1-pixel stripes become all black or all white."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert np.abs(decode_image(tmp_path / "a.png", image_size=8).astype(int) - 127).max() < 20


def test_files_come_back_in_order_with_reasons_for_the_broken(tmp_path, write_image, monkeypatch):
    monkeypatch.setattr("bnrepro.data.decode.TASK", 2)
    monkeypatch.setattr("bnrepro.data.decode.BLOCK", 5)
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    pixels = [write_image(path, seed=i) for i, path in enumerate(paths)]
    paths[4].write_text("no image\n")
    paths[9].write_bytes(paths[9].read_bytes()[:60])
    paths[10].unlink()
    decoded = [image for block in decode_files(paths, None, 10**9, "test") for image in block]
    assert len(decoded) == 12
    broken = {i: image for i, image in enumerate(decoded) if isinstance(image, str)}
    assert sorted(broken) == [4, 9, 10]
    assert "cannot identify" in broken[4]
    assert all("\n" not in reason for reason in broken.values())
    assert all(np.array_equal(decoded[i], pixels[i]) for i in range(12) if i not in broken)


def test_nothing_is_printed_where_stderr_is_no_terminal(tmp_path, write_image, capsys):
    write_image(tmp_path / "a.png")
    assert len(list(decode_files([tmp_path / "a.png"], None, 10**9, "Decoding"))) == 1
    assert capsys.readouterr() == ("", "")


def test_progress_line_on_a_terminal(tmp_path, write_image, monkeypatch):
    """Minutes of silence look like a hang."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    write_image(tmp_path / "a.png")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert len(list(decode_files([tmp_path / "a.png"], None, 10**9, "Decoding"))) == 1
    assert "Decoding" in terminal.getvalue()
