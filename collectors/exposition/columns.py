"""A page's bytes → columns of its rows, without an object a row: what makes reading a page again cheap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collectors.exposition.row import number
from recwatch.core.signals import Float64, Int64

_NEWLINE = 10
_BLANK = 32

Slices = Any
"""An Arrow array of bytes."""

Bools = npt.NDArray[np.bool_]
N = TypeVar("N", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Where the rows of `body`, each ended by a newline, begin and end, and where their last words begin; all int64[n].

    `last` is where the last word of a row begins, `last_but_one` where the one before begins, were one blank between them.
    A row that has too few blanks for that has its own start there.
    """

    body: bytes
    starts: Int64
    ends: Int64
    last: Int64
    last_but_one: Int64

    def __len__(self) -> int:
        return len(self.starts)

    def spelled(self, at: Int64) -> Iterator[tuple[int, bytes]]:
        """The numbers of rows, and the rows without their newlines."""
        for row, start, end in zip(at.tolist(), self.starts[at].tolist(), self.ends[at].tolist(), strict=True):
            yield row, self.body[start:end]

    def firsts(self) -> npt.NDArray[np.uint8]:
        """The first byte of each row: the newline where it is empty."""
        return np.frombuffer(self.body, np.uint8)[self.starts]


def rows_of(body: bytes) -> Rows:
    r"""The rows of a body that is empty or ends in a newline.

    >>> rows = rows_of(b'a{b="c d"} 1\nx\n')
    >>> rows.starts.tolist(), rows.ends.tolist(), rows.last.tolist()
    ([0, 13], [12, 14], [11, 13])
    """
    blanks = np.flatnonzero(np.frombuffer(body, np.uint8) <= _BLANK)
    newlines = np.flatnonzero(np.frombuffer(body, np.uint8)[blanks] == _NEWLINE)
    ends = blanks[newlines]
    starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1))
    before = np.concatenate((np.full(2, -1, np.int64), blanks)) + 1  # where words begin; two rows at the front for the first
    return Rows(body, starts, ends, np.maximum(before[newlines + 1], starts), np.maximum(before[newlines], starts))


def slices(body: bytes, starts: Int64, ends: Int64) -> Slices:
    """The parts of the body from `starts` to `ends`, which are in order and do not overlap."""
    if not len(starts):
        return pa.nulls(0, pa.large_binary())
    bounds = np.empty(2 * len(starts), np.int64)
    bounds[::2], bounds[1::2] = starts, ends
    parts = pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(body)])
    return taken(parts, np.arange(0, len(bounds), 2))


def taken(these: Slices, at: Int64) -> Slices:
    """Those of the slices that are at these places.

    The places are handed over as a buffer: pyarrow imports pandas, and its 55 MB, to read an array where that is installed.
    """
    return these.take(pa.Array.from_buffers(pa.int64(), len(at), [None, pa.py_buffer(at)]))


def equal(these: Slices, those: Slices) -> Bools:
    """Which of these equal those in their place."""
    return _bools(pc.equal(these, those))


def places(wanted: Slices, known: Slices) -> Int64:
    """Where each of the wanted is first found among the known; -1 where it is not."""
    found = pc.index_in(wanted, value_set=known)
    return np.where(_bools(pc.is_valid(found)), _buffer(found, np.int32)[: len(found)], -1).astype(np.int64)


def _bools(column: Any) -> Bools:
    """Arrow keeps a bit each."""
    return np.unpackbits(_buffer(column, np.uint8), count=len(column), bitorder="little").view(np.bool_)


def _buffer(column: Any, of: type[N]) -> npt.NDArray[N]:
    """What a column of numbers holds; `to_numpy` imports pandas, as above."""
    return np.frombuffer(column.buffers()[1], of) if len(column) else np.zeros(0, of)


def numbers(words: Slices) -> tuple[Float64, Bools]:
    """What the words say, and which of them are numbers at all."""
    try:
        values: Float64 = _buffer(words.cast(pa.large_string()).cast(pa.float64()), np.float64)[: len(words)]
    except pa.ArrowInvalid:
        return _one_by_one(words.to_pylist())
    nan = np.flatnonzero(np.isnan(values))
    readable = np.ones(len(values), np.bool_)
    readable[nan] = _one_by_one(taken(words, nan).to_pylist())[1]  # Arrow takes `nan(…)`, too
    return values, readable


def _one_by_one(words: Sequence[bytes]) -> tuple[Float64, Bools]:
    values, readable = np.zeros(len(words)), np.ones(len(words), np.bool_)
    for row, word in enumerate(words):
        try:
            values[row] = number(word.decode())
        except ValueError:
            readable[row] = False
    return values, readable
