"""Entries in a folder of this machine, oldest first, as segments of about equal size."""

from __future__ import annotations

import fcntl
import logging
import os
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recwatch.core.bus.spool.entries import Entry, packed
from recwatch.core.bus.spool.segment import DRAFT, SUFFIX, Segment
from recwatch.core.bus.spool.thinning import thinned
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.folders import private_folder

logger = logging.getLogger(__name__)

SEGMENTS = 64
"""How many segments a full folder has; of so much of it the oldest makes room."""
READ_BYTES = 2**20
"""How much is read at once; a process that is killed had published as much at most without noting that it left."""
FIRST_NUMBER = 2**32
"""That of the first entry; smaller ones are for what is put before it."""


class Journal:
    """The entries that wait in `folder`, by number, in files that take `max_bytes` at most; used by one thread at a time.

    What `append` returned for outlives the process, however it ends. It outlives the machine once `sync` was called, or
    its segment is full. Where there is no room the oldest segments are `thinned`, but for the entries whose numbers are
    `in_doubt`; what that drops is counted in `dropped`, in samples by service. The constructor takes a torn end off.

    Raises BadInput for a folder that cannot be used or that another process uses; all methods raise Unavailable where the
    disk refuses, and leave the entries as they were.
    """

    def __init__(self, folder: Path, max_bytes: int, in_doubt: Container[int] = ()) -> None:
        self.folder = folder
        self.dropped: Counter[str] = Counter()
        self._max_bytes = max_bytes
        self._in_doubt = in_doubt
        self._lock = _locked(folder)
        self._thinned = False
        self._segments: list[Segment] = []
        try:
            self._take_up()
        except BaseException:
            self.close()
            raise
        self.next_number = self._after_the_last()
        """At the start a number that no entry has, larger than that of all that wait."""

    def __bool__(self) -> bool:
        """Whether any entry waits."""
        return bool(self._segments)

    @property
    def size_bytes(self) -> int:
        """What the files take."""
        return sum(segment.size for segment in self._segments)

    def append(self, entry: Entry) -> None:
        """Put an entry behind all others, and make room for it; its number is larger than theirs."""
        data = packed(entry)
        with self._failures():
            self._make_room(len(data))
            if not self._segments or self._segments[-1].size + len(data) > self._max_bytes // SEGMENTS:
                self._begin_segment(entry.number)
            try:
                self._segments[-1].append(data)
            finally:
                self._drop_the_empty()

    def put_first(self, entries: Sequence[Entry]) -> None:
        """Put entries ahead of all others, numbered anew, and make room for them. The last of them is written first."""
        with self._failures():
            first = min([entry.number for entry, _ in self._oldest()], default=self.next_number) - len(entries)
            numbered = [entry._replace(number=first + place) for place, entry in enumerate(entries)]
            for share in reversed(_shares(numbered, self._max_bytes // SEGMENTS)):
                path = self.folder / f"{share[0].number:020d}{SUFFIX}"
                self._segments.insert(0, Segment.written(path, share))
                self._thinned = False
            _sync_folder(self.folder)
            self._make_room(0)

    def oldest(self) -> list[Entry]:
        """The entries that have waited longest; none only where none waits."""
        with self._failures():
            return [entry for entry, _ in self._oldest()]

    def leave(self, numbers: Container[int]) -> Sequence[int]:
        """Forget the oldest entry while its number is one of these; returns the numbers of those that left."""
        left: list[int] = []
        with self._failures():
            while self._segments and (leaving := self._first_of(numbers)):
                self._segments[0].leave(leaving[-1][1])
                left += [entry.number for entry, _ in leaving]
                self._drop_the_empty()
        return left

    def sync(self) -> None:
        """Bring to the disk what is only in the machine's memory so far."""
        with self._failures():
            if self._segments:
                self._segments[-1].sync()

    def close(self) -> None:
        """Sync, and let another process have the folder."""
        try:
            self.sync()
        finally:
            for segment in self._segments:
                segment.close()
            os.close(self._lock)

    def _take_up(self) -> None:
        """Begin with what an earlier process left."""
        with self._failures():
            for draft in self.folder.glob(f"*{DRAFT}"):
                draft.unlink()
            for path in sorted(self.folder.glob(f"*{SUFFIX}")):
                self._segments.append(Segment(path))
            if self._segments:
                self._segments[-1].cut()

    def _oldest(self) -> list[tuple[Entry, int]]:
        while self._segments:
            first = self._segments[0]
            if found := first.entries(READ_BYTES):
                return found
            logger.warning(
                "spool %s: %d bytes of %s are damaged and left out", self.folder, first.size - first.left, first.path.name
            )
            self._drop_the_first()
            self._drop_the_empty()
        return []

    def _first_of(self, numbers: Container[int]) -> list[tuple[Entry, int]]:
        found: list[tuple[Entry, int]] = []
        for entry, end in self._oldest():
            if entry.number not in numbers:
                break
            found.append((entry, end))
        return found

    def _make_room(self, needed: int) -> None:
        while self.size_bytes + needed > self._max_bytes:
            if len(self._segments) - self._thinned < 2:
                raise Unavailable(f"spool {self.folder}: it is full; see why the bus is away, or raise spool.max_bytes")
            self._thin_the_next()

    def _thin_the_next(self) -> None:
        """Make one thin segment, or none, of the thin one that there may be and of the one after it."""
        merged = self._segments[: self._thinned + 1]
        entries = [entry for segment in merged for entry, _ in segment.entries(segment.size)]
        stays, dropped = thinned(entries, self._in_doubt)
        replaced = [Segment.written(merged[-1].path, stays)] if stays else []
        for segment in merged:
            segment.close()
        for path in {segment.path for segment in merged} - {segment.path for segment in replaced}:
            path.unlink()
        self._segments[: len(merged)] = replaced
        self._thinned = bool(replaced)
        self.dropped.update(dropped)

    def _begin_segment(self, number: int) -> None:
        if self._segments:
            self._segments[-1].sync()
        self._segments.append(Segment(self.folder / f"{number:020d}{SUFFIX}"))
        _sync_folder(self.folder)

    def _after_the_last(self) -> int:
        """A number for the next entry; what holds nothing is dropped once its name was looked at."""
        last = self._segments[-1:]
        numbers = [entry.number for segment in last for entry, _ in segment.entries(segment.size)]
        number = 1 + max([int(segment.path.stem) for segment in last] + numbers, default=FIRST_NUMBER - 1)
        self._drop_the_empty()
        return number

    def _drop_the_empty(self) -> None:
        while self._segments and self._segments[0].left >= self._segments[0].size:
            self._drop_the_first()

    def _drop_the_first(self) -> None:
        self._segments.pop(0).remove()
        self._thinned = False

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"spool {self.folder}: writing failed ({error.strerror}); see whether the disk is full"
            ) from error


def _shares(entries: Sequence[Entry], size_bytes: int) -> list[list[Entry]]:
    """Cut into stretches of about that size, or of one entry that is larger."""
    shares: list[list[Entry]] = []
    room = 0
    for entry in entries:
        room -= len(entry.payload)
        if not shares or room < 0:
            shares.append([])
            room = size_bytes - len(entry.payload)
        shares[-1].append(entry)
    return shares


def _locked(folder: Path) -> int:
    """The open lock file, which is locked for as long as this process has it open."""
    private_folder(folder, f"spool {folder}", "spool.folder")
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 20, 0).decode()
        os.close(lock)
        raise BadInput(
            f"spool {folder}: process {holder} uses it; stop that one, or name another folder in spool.folder"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
