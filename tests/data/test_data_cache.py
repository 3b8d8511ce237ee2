"""Decoded sets on disk: shared, atomic, and made once."""

import os
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bnrepro.config.errors import UsageError
from bnrepro.data import cache, stored
from bnrepro.data.cache import Source, cache_folder, cached


def make_source(images: int = 40, log: Path | None = None, wait: float = 0.0) -> Source:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 4, 5, 3), dtype=np.uint8)
    labels = np.arange(images) % 3

    def chunks():
        if log is not None:
            with log.open("a") as file:
                file.write("built\n")
        time.sleep(wait)
        for start in range(0, images, 7):
            yield pixels[start : start + 7], labels[start : start + 7]

    return Source(("a", "b", "c"), chunks(), chunks(), {"train/a/0.png": "broken"})


def test_gives_back_what_was_put_in(data_config):
    config = data_config("digits")
    pixels = np.concatenate([pixels for pixels, _ in make_source().train])
    for _ in range(2):
        stored = cached(config, "key", make_source)
        assert np.array_equal(stored.train.images.numpy(), pixels)
        assert stored.test.labels.tolist() == [i % 3 for i in range(40)]
        assert stored.classes == ("a", "b", "c")
        assert stored.skipped == {"train/a/0.png": "broken"}
        assert stored.mean == pytest.approx((pixels.reshape(-1, 3) / 255).mean(0))


def mapped_files() -> str:
    return Path("/proc/self/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_images_are_mapped_not_read(data_config):
    """Ten workers with ten copies of a 5 GB set would not fit."""
    stored = cached(data_config("digits"), "key", make_source)
    assert "key/train.images" in mapped_files()
    assert len(stored.train) == 40


def test_writing_to_the_tensor_does_not_reach_the_file(data_config):
    config = data_config("digits")
    stored = cached(config, "key", make_source)
    before = stored.train.images.clone()
    stored.train.images.zero_()
    assert torch.equal(cached(config, "key", make_source).train.images, before)


def test_two_at_once_decode_once(data_config, tmp_path):
    """Threads here, as the lock is between open files: two processes exclude each other in the same way."""
    config = data_config("digits")
    start = threading.Barrier(2)

    def build(_):
        start.wait()
        return cached(config, "key", lambda: make_source(log=tmp_path / "log", wait=0.3))

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(build, range(2))
    assert (tmp_path / "log").read_text().count("built") == 2  # train and test, once
    assert torch.equal(first.train.images, second.train.images)


def test_interrupted_build_leaves_nothing_that_looks_whole(data_config, tmp_path):
    config = data_config("digits")

    def broken():
        source = make_source()

        def chunks():
            yield next(iter(source.train))
            raise KeyboardInterrupt

        return Source(source.classes, chunks(), source.test, {})

    with pytest.raises(KeyboardInterrupt):
        cached(config, "key", broken)
    assert not (tmp_path / "cache" / "decoded" / "key").exists()
    assert len(cached(config, "key", make_source).train) == 40


def test_remains_of_a_killed_process_do_not_matter(data_config, tmp_path):
    partial = tmp_path / "cache" / "decoded" / "key.partial"
    partial.mkdir(parents=True)
    (partial / "train.images").write_bytes(b"half")
    assert len(cached(data_config("digits"), "key", make_source).train) == 40
    assert not partial.exists()


def cut(path: Path) -> None:
    """A mapping beyond its end would kill the process (SIGBUS)."""
    path.write_bytes(path.read_bytes()[:10])


def flip(path: Path) -> None:
    """One bit in the middle, and the file's time as it was: what a careless copy of a broken disk leaves."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def remove(path: Path) -> None:
    path.unlink()


def pipe(path: Path) -> None:
    """Who opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["train.images", "train.labels", "test.images", "test.labels", "meta.json"])
@pytest.mark.parametrize("damage", [cut, flip, zero, remove, pipe])
def test_damaged_folder_is_built_again_with_a_line(data_config, tmp_path, capsys, name, damage):
    """Zeroed images train too, to a wrong number."""
    config = data_config("digits")
    whole = cached(config, "key", make_source)
    cached(config, "key", make_source)
    damage(tmp_path / "cache" / "decoded" / "key" / name)
    assert capsys.readouterr().err == ""
    again = cached(config, "key", make_source)
    assert (again.mean, again.std, again.classes) == (whole.mean, whole.std, whole.classes)
    for side in ("train", "test"):
        assert torch.equal(getattr(again, side).images, getattr(make_whole(), side))
        assert getattr(again, side).labels.tolist() == [i % 3 for i in range(40)]
    line = capsys.readouterr().err
    assert re.fullmatch(rf"data.cache_dir: .*/key cannot be used \({name} is .*\) and is made anew\n", line)
    cached(config, "key", make_source)
    assert capsys.readouterr().err == ""


def make_whole():
    """All pixels of `make_source`, as `train` and `test`."""
    pixels = torch.from_numpy(np.concatenate([pixels for pixels, _ in make_source().train]))
    return SimpleNamespace(train=pixels, test=pixels)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"std": [0.1, 0.0, 0.1]}, "a standard deviation is not above 0"),
        ({"mean": [0.1, float("nan"), 0.1]}, "a mean is not within 0 and 1"),
        ({"classes": ["a", "b"]}, "a label is not of a class"),
        ({"shapes": {"train": [40, 5, 4, 3], "test": [40, 4, 5, 3]}}, "differ in shape"),
        ({"shapes": {"train": [41, 4, 5, 3], "test": [40, 4, 5, 3]}}, "does not describe a data set"),
        ({"shapes": None}, "does not describe a data set"),
    ],
)
def test_what_cannot_be_a_data_set_is_built_again_though_its_checksums_fit(
    data_config, tmp_path, capsys, change, reason
):
    """As after an error of ours, or a hand that changed it with the best intentions."""
    config = data_config("digits")
    cached(config, "key", make_source)
    folder = tmp_path / "cache" / "decoded" / "key"
    wrong = {**stored.contents(folder), **change}

    def write(partial: Path) -> dict:
        for path in folder.glob("t*.*"):
            shutil.copy(path, partial)
        return wrong

    stored.build(folder, write)
    assert len(cached(config, "key", make_source).train) == 40
    assert reason in capsys.readouterr().err


def test_a_whole_folder_is_read_through_once_only(data_config, monkeypatch):
    """A set of 100 GB takes minutes to read; every worker of a sweep opens it."""
    config = data_config("digits")
    cached(config, "key", make_source)
    monkeypatch.setattr(stored, "_checksum", None)
    assert len(cached(config, "key", make_source).train) == 40


def test_a_cache_without_the_right_to_write_is_checked_every_time(data_config, monkeypatch, tmp_path):
    config = data_config("digits")
    cached(config, "key", make_source)
    note = tmp_path / "cache" / "decoded" / "key.checked"
    note.unlink(missing_ok=True)
    note.mkdir()  # root may write everywhere else
    read = []
    checksum = stored._checksum
    monkeypatch.setattr(stored, "_checksum", lambda path: read.append(path.name) or checksum(path))
    for _ in range(2):
        cached(config, "key", make_source)
    assert len(read) == 8


def test_the_lock_is_not_opened_through_a_link(data_config, tmp_path):
    """In a cache that several people write to, a link of that name would empty any file."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "cache" / "decoded").mkdir(parents=True)
    (tmp_path / "cache" / "decoded" / "key.lock").symlink_to(precious)
    with pytest.raises(UsageError, match=r"^data.cache_dir="):
        cached(data_config("digits"), "key", make_source)
    assert precious.read_text() == "mine"


def test_unwritable_cache_is_one_line_that_names_the_key(data_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UsageError, match=r"^data.cache_dir=.*file/sub: cannot be used \(.*\); set it"
    ) as error:
        cached(data_config("digits", cache_dir=str(tmp_path / "file" / "sub")), "key", make_source)
    assert "\n" not in str(error.value)


def test_full_disk_is_one_line_that_names_the_key(data_config, monkeypatch):
    def no_space(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write_split", no_space)
    with pytest.raises(UsageError, match=r"^data.cache_dir=.*No space left on device"):
        cached(data_config("digits"), "key", make_source)


def test_readable_cache_needs_no_right_to_write(data_config, monkeypatch):
    """A group may share one cache that only its owner writes."""
    config = data_config("digits")
    cached(config, "key", make_source)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(stored, "locked", refuse)
    assert len(cached(config, "key", make_source).train) == 40


def test_default_folders(data_config, monkeypatch, tmp_path):
    config = data_config("digits", cache_dir=None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(config) == tmp_path / "xdg" / "bnrepro"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(config) == tmp_path / ".cache" / "bnrepro"
    assert cache_folder(data_config("digits", cache_dir="~/c")) == Path(os.environ["HOME"]) / "c"
