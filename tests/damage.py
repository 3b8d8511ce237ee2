"""Ways in which a file comes to harm: a bad disk, a full one, an editor, somebody's bad will."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

Change = Callable[[bytes, random.Random], bytes]


def _flip(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _insert(piece: bytes) -> Change:
    def change(data: bytes, rng: random.Random) -> bytes:
        place = rng.randrange(len(data) + 1)
        return data[:place] + piece + data[place:]

    return change


def _zeros(data: bytes, rng: random.Random) -> bytes:
    place, length = rng.randrange(len(data)), max(1, len(data) // 8)
    return data[:place] + b"\0" * len(data[place : place + length]) + data[place + length :]


def _number(text: bytes) -> Change:
    """One of the numbers, in a text; somewhere in another file."""

    def change(data: bytes, rng: random.Random) -> bytes:
        numbers = list(re.finditer(rb"(?<=[ \[:])-?\d+(\.\d+)?(e-?\d+)?(?=[,\n\]}])", data))
        if not numbers:
            return _insert(text)(data, rng)
        start, end = rng.choice(numbers).span()
        return data[:start] + text + data[end:]

    return change


def _without_a_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (after, after, b", ".join([b"*%c" % before] * 9))
    for before, after in zip(b"abcdefgh", b"bcdefghi", strict=True)
)
CONTENTS: dict[str, Change] = {
    "empty": lambda data, rng: b"",
    "first half": lambda data, rng: data[: len(data) // 2],
    "last byte gone": lambda data, rng: data[:-1],
    "bit flipped": _flip,
    "another bit flipped": lambda data, rng: _flip(_flip(data, rng), rng),
    "byte not of UTF-8": _insert(b"\xff"),
    "terminal escape": _insert(b"\x1b]0;x\x07"),
    "zeros": _zeros,
    "random bytes": lambda data, rng: rng.randbytes(len(data)),
    "twice": lambda data, rng: data * 2,
    "a line gone": _without_a_line,
    "UTF-16": lambda data, rng: data.decode("latin-1").encode("utf-16"),
    "a list": lambda data, rng: b"[]\n",
    "null": lambda data, rng: b"null\n",
    "an empty object": lambda data, rng: b"{}\n",
    "deep": lambda data, rng: b"[" * 200_000,
    "NaN": _number(b"NaN"),
    "1e400": _number(b"1e400"),
    "negative": _number(b"-5"),
    "huge": _number(b"9" * 5000),
    "a text": _number(b'"x"'),
    "bomb": lambda data, rng: BOMB,
}
NO_FILES: dict[str, Callable[[Path], None]] = {
    "gone": lambda path: None,
    "a pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "a dead link": lambda path: path.symlink_to("nowhere"),
}
WAYS = (*CONTENTS, *NO_FILES)


def damage(path: Path, way: str, seed: int) -> None:
    """Damage a file."""
    if way in CONTENTS:
        path.write_bytes(CONTENTS[way](path.read_bytes(), random.Random(seed)))
        return
    path.unlink()
    NO_FILES[way](path)
