"""One file of entries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Self

from recwatch.core.bus.spool.entries import Entry, packed, unpacked

SUFFIX, DRAFT = ".segment", ".draft"
_LEFT = Struct("<Q")
"""What a segment begins with: where its first entry is that has not left."""


class Segment:
    """A file of entries; `left` is where the first is that has not left, `size` where the last ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._file).st_size
        head = os.pread(self._file, _LEFT.size, 0)
        self.left = _LEFT.unpack(head)[0] if len(head) == _LEFT.size else 0
        if not _LEFT.size <= self.left <= self.size:
            self.left = _LEFT.size

    @classmethod
    def written(cls, path: Path, entries: Sequence[Entry]) -> Self:
        """A new file of these entries, which is there whole or not at all."""
        path.with_suffix(DRAFT).unlink(missing_ok=True)
        draft = cls(path.with_suffix(DRAFT))
        try:
            draft.append(b"".join(map(packed, entries)))
            draft.sync()
        except OSError:
            draft.remove()
            raise
        draft.close()
        draft.path.replace(path)
        return cls(path)

    def append(self, data: bytes) -> None:
        """Write behind the last entry. Where the disk refuses, raises OSError and leaves the entries as they were."""
        start = max(self.size, _LEFT.size)
        try:
            if self.size < _LEFT.size:
                self._write(_LEFT.pack(self.left), 0)
            self._write(data, start)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size = start + len(data)

    def entries(self, max_bytes: int) -> list[tuple[Entry, int]]:
        """The first that have not left, each with where it ends: one, and as many more as there are in `max_bytes`."""
        waiting = max(0, self.size - self.left)
        found = list(unpacked(os.pread(self._file, min(max_bytes, waiting), self.left)))
        if not found and max_bytes < waiting:
            found = list(unpacked(os.pread(self._file, waiting, self.left)))[:1]
        return [(entry, self.left + end) for entry, end in found]

    def leave(self, end: int) -> None:
        """Remember that all entries up to `end` have left, for whoever reads the folder when this process is no more."""
        os.pwrite(self._file, _LEFT.pack(end), 0)
        self.left = end

    def cut(self) -> None:
        """Take off what was torn at the end."""
        whole = self.entries(self.size)
        self.size = whole[-1][1] if whole else self.left
        os.ftruncate(self._file, self.size)

    def sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def remove(self) -> None:
        os.close(self._file)
        self.path.unlink(missing_ok=True)

    def _write(self, data: bytes, start: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file, rest, start)
            rest, start = rest[written:], start + written
