"""A million file names in two arrays: mapped from disk, they are shared by all processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np


class FileNames(Sequence[str]):
    """File names, one after the other in `text` (bytes); the i-th ends before `ends[i]`.

    As Python strings, 1.28 million names take 100 MB in every loader process, as each touches their
    reference counts.
    """

    def __init__(self, text: np.ndarray, ends: np.ndarray) -> None:
        self._text = text
        self._ends = ends

    @classmethod
    def of(cls, names: Iterable[str]) -> FileNames:
        encoded = [os.fsencode(name) for name in names]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> FileNames: ...
    def __getitem__(self, index: int | slice) -> str | FileNames:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self._ends[index - 1] if index else 0
        return os.fsdecode(self._text[start : self._ends[index]].tobytes())

    def take(self, indices: np.ndarray) -> FileNames:
        """The names with these indices, in this order."""
        return FileNames.of(self[int(i)] for i in indices)

    def save(self, folder: Path, stem: str) -> None:
        np.save(folder / f"{stem}.text.npy", self._text)
        np.save(folder / f"{stem}.ends.npy", self._ends)

    @classmethod
    def load(cls, folder: Path, stem: str) -> FileNames:
        """Mapped into memory, read-only."""
        text, ends = (np.load(folder / f"{stem}.{part}.npy", mmap_mode="r") for part in ("text", "ends"))
        return cls(text, ends)
