"""A user would wait for ever for a file that is none, or get a traceback for one bad byte."""

import os
import time

import pytest
from damage import BOMB

from bnrepro.config.errors import Damaged
from bnrepro.rundir.reading import read_json, read_text, read_yaml

MOST = 1000


@pytest.mark.parametrize("reader", [read_text, read_json, read_yaml])
def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "endless").symlink_to("/dev/zero")
    start = time.monotonic()
    for path in tmp_path.iterdir():
        with pytest.raises(Damaged, match=f"{path.name}: is not a regular file"):
            reader(path, MOST)
    assert time.monotonic() - start < 30  # a pipe would wait for ever


def test_a_link_to_a_file_is_read_and_what_is_not_there_is_not_damaged(tmp_path):
    (tmp_path / "file").write_text("[1]")
    (tmp_path / "link").symlink_to("file")
    assert read_json(tmp_path / "link", MOST) == [1]
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "nothing", MOST)
    with pytest.raises(Damaged, match=r"file.json: cannot be read \(Not a directory\)"):
        read_json(tmp_path / "file" / "file.json", MOST)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "is not JSON"),
        (b'{"a": NaN}', "is not JSON .*NaN is not a number in JSON"),
        (b'{"a": -Infinity}', "is not JSON .-Infinity is not a number in JSON"),
        (b'{"a": "\xff"}', "is not UTF-8 .byte 7: 0xff"),
        (b"[" * MOST, "is not JSON"),
        (b"9" * MOST + b"9", "is larger than 1,000 bytes"),
    ],
)
def test_json_that_is_none_is_one_line_with_the_path(tmp_path, content, why):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=f"^{path}: {why}") as damaged:
        read_json(path, MOST)
    assert "\n" not in str(damaged.value)


def test_nesting_and_numbers_without_end_are_damage_too(tmp_path):
    path = tmp_path / "result.json"
    for content in ("[" * 500_000, "9" * 5000):
        path.write_text(content)
        with pytest.raises(Damaged, match="is not JSON"):
            read_json(path, 1_000_000)


@pytest.mark.parametrize(
    "content", [BOMB, b"a: [", b"a: *b", b"? [1]\n: 2", b"\x00", b"[" * 999, b"2024-13-40"]
)
def test_yaml_that_is_none_is_one_line_and_a_bomb_does_not_go_off(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=f"^{path}: is not YAML") as damaged:
        read_yaml(path, 10_000)
    assert "\n" not in str(damaged.value)
