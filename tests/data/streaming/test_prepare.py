"""`bnrepro data prepare`: a copy that lacks images, or is cut off, would be trained on for weeks."""

import io
import json
import shutil
import threading

import numpy as np
import pytest
from photos import photo
from PIL import Image
from typer.testing import CliRunner

from bnrepro.cli import app
from bnrepro.config.errors import StorageError, UsageError
from bnrepro.data import load_data
from bnrepro.data.streaming import prepare as module
from bnrepro.data.streaming.prepare import convert, prepare

SIZE = 24


@pytest.fixture
def copy(write_tree, stream_config, tmp_path):
    """`copy()`: prepares the tree, and returns tree and copy."""
    root, out = write_tree(), tmp_path / "copy"

    def make(size: int = SIZE):
        load_data.cache_clear()
        prepare(load_data(stream_config(root)), out, size, 10**9)
        return root, out

    return make


def files(root):
    return {str(path.relative_to(root)) for path in root.glob("*/*/*")}


def test_every_image_is_there_with_the_shorter_side_resized(copy):
    root, out = copy()
    assert files(out) == files(root)
    for path in out.glob("*/*/*"):
        with Image.open(path) as image, Image.open(root / path.relative_to(out)) as source:
            assert min(image.size) == SIZE
            assert image.width / image.height == pytest.approx(source.width / source.height, rel=0.05)


def test_a_copy_trains_under_its_own_name(copy, stream_config):
    """Its crops have fewer pixels: nobody may take its errors for those of the original."""
    _, out = copy()
    assert load_data(stream_config(out)).name == "copy (image folder, streamed), resized to 24"


def test_an_interrupted_copy_is_refused_and_continued(copy, stream_config, tmp_path, monkeypatch):
    written = threading.Semaphore(3)
    whole = module._convert

    def until_killed(job, size):
        if not written.acquire(blocking=False):
            raise KeyboardInterrupt
        return whole(job, size)

    monkeypatch.setattr(module, "_convert", until_killed)
    with pytest.raises(KeyboardInterrupt):
        copy()
    monkeypatch.setattr(module, "_convert", whole)
    out = tmp_path / "copy"
    with pytest.raises(UsageError, match="unfinished copy"):
        load_data(stream_config(out))
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*")}
    assert len(before) == 3
    root, out = copy()
    assert files(out) == files(root)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_broken_files_are_all_named_and_the_copy_stays_unfinished(copy):
    root, out = copy()
    shutil.rmtree(out)
    for name in ("train/n00000001/0.JPEG", "val/n00000002/2.JPEG"):
        (root / name).write_bytes((root / name).read_bytes()[:-200])
    with pytest.raises(UsageError, match=r"2 files are not readable images: .*0\.JPEG .*2\.JPEG"):
        copy()
    assert not json.loads((out / "prepared.json").read_text())["complete"]


def test_other_files_in_the_copy_are_refused(copy):
    _, out = copy()
    photo(30, 30).save(out / "train/n00000001/extra.JPEG")
    with pytest.raises(UsageError, match="holds 15 files for 14 images"):
        copy()


def test_a_folder_with_something_else_is_refused(copy, tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="holds something else"):
        copy()


def test_a_copy_of_another_size_is_refused(copy):
    copy()
    with pytest.raises(UsageError, match="holds a copy of size 24"):
        copy(SIZE + 1)


def test_a_full_disk_is_noticed_before(copy, monkeypatch):
    usage = shutil._ntuple_diskusage(10**6, 10**6, 100)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UsageError, match=r"needs about .* GiB and 0.0 are free"):
        copy()


@pytest.mark.parametrize(("number", "reason"), [(28, "No space left"), (13, "Permission denied")])
def test_a_disk_that_cannot_be_written_is_named(copy, tmp_path, monkeypatch, number, reason):
    def refuse(path, data):
        raise StorageError(path, OSError(number, reason))

    monkeypatch.setattr(module, "write_bytes", refuse)
    with pytest.raises(StorageError, match=rf"copy/.*JPEG.* cannot be written \({reason}\).*same command"):
        copy()
    monkeypatch.undo()
    root, out = copy()
    assert files(out) == files(root)


def test_a_set_without_permission_is_named(tmp_path, stream_config, monkeypatch):
    """Simulated, as root may read everything."""

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    config = stream_config(tmp_path)
    monkeypatch.setattr(module.Path, "is_dir", denied)
    with pytest.raises(UsageError, match=rf"data.root: {tmp_path} cannot be read \(Permission denied\)"):
        load_data(config)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_small_jpegs_are_copied_and_everything_else_becomes_a_jpeg(kind, tmp_path):
    path = tmp_path / "a.jpg"
    photo(20, 30).save(path, kind)
    data = convert(path, 64, 10**9)
    assert (data == path.read_bytes()) == (kind == "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert image.size == (30, 20)


def test_cmyk_becomes_rgb_with_the_same_colours(tmp_path):
    path = tmp_path / "a.jpg"
    photo(40, 50, grain=0).convert("CMYK").save(path, "JPEG", quality=95)
    with Image.open(io.BytesIO(convert(path, 64, 10**9))) as image:
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image).astype(int) - np.asarray(photo(40, 50, grain=0))).mean() < 3


def test_the_command(write_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = write_tree(side=300)
    done = CliRunner().invoke(app, ["data", "prepare", "image_stream", "--root", str(root), "--size", "256"])
    assert done.exit_code == 0, done.output
    assert "8 training and 6 evaluation images" in done.output
    assert files(tmp_path / "photos-256") == files(root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["digits"], "kept in memory"), (["image_stream", "--size", "100"], "evaluation needs 256")],
)
def test_what_makes_no_sense_is_refused(arguments, message, tmp_path):
    done = CliRunner().invoke(app, ["data", "prepare", *arguments, "--root", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
