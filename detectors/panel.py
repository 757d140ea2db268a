"""What every detection method looks like: it judges many series in one call, one row of its state for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Int64, Judgement

LARGEST = 1e100
"""Readings are held within ± this, so that no arithmetic of a method can overflow."""


Judges = Literal["distance", "otherwise", "nothing"]
"""What a method judges: how far a reading is from an expected one, something in terms of its own, or nothing at all."""
Place = slice | Int64
"""Where rows lie in the columns of a state."""


def place(row: Int64) -> Place:
    """The rows as a slice where they follow each other: numpy reads and writes that in place, which is far cheaper.

    What is read through a slice changes when the column does: compute what is new first, write it last.

    >>> place(np.array([3, 4, 5])), place(np.array([3, 5]))
    (slice(3, 6, None), array([3, 5]))
    """
    count = len(row)
    first = int(row[0]) if count else 0
    if count and row[-1] - first == count - 1 and (count == 1 or (row[1:] - row[:-1] == 1).all()):
        return slice(first, first + count)
    return row


def rows_at(at: Place, which: Int64) -> Int64:
    """The rows that lie at these positions of a place.

    >>> rows_at(slice(3, 6), np.array([0, 2])), rows_at(np.array([3, 5, 9]), np.array([0, 2]))
    (array([3, 5]), array([3, 9]))
    """
    return which + at.start if isinstance(at, slice) else at[which]


def within(value: Float64, limit: Float64 | float) -> Float64:
    """The value held within ± limit; `np.clip` takes several times as long on short arrays.

    >>> within(np.array([-3.0, 1.0]), 2.0)
    array([-2.,  1.])
    """
    held: Float64 = np.minimum(np.maximum(value, -limit), limit)
    return held


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One reading of each of n series.

    `row` int64[n] is the series' row in the state of the method, unique within a batch; `time_ms` int64[n]; `value`
    float64[n], finite. `beside` gives, for each signal that the method needs, its reading at the same time, NaN
    where absent. `at` is the place of the rows, which who knows it already can give.
    """

    row: Int64
    time_ms: Int64
    value: Float64
    beside: Mapping[str, Float64]
    known: InitVar[Place | None] = None
    at: Place = field(init=False)

    def __post_init__(self, known: Place | None) -> None:
        object.__setattr__(self, "at", place(self.row) if known is None else known)

    def __len__(self) -> int:
        return len(self.row)

    def only(self, which: Int64) -> Batch:
        """The readings at these positions."""
        beside = {name: column[which] for name, column in self.beside.items()}
        return Batch(self.row[which], self.time_ms[which], self.value[which], beside)


class Detector(Protocol):
    """A detection method over a panel of series.

    `update` scores first and learns afterwards. A flagged reading is learnt only clipped to the band; a level shift that is
    confirmed becomes the new baseline. Rows are independent of each other, and new ones may appear at any time.
    """

    name: str
    needs: tuple[str, ...]
    judges: Judges

    def update(self, batch: Batch) -> Judgement:
        """The judgement of each reading, aligned to the batch, from what was seen before it."""
        ...

    def warmup_ratio(self, row: Int64) -> Float64:
        """How far each row is on its way to its first judgement, 0..1."""
        ...

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learnt, as arrays that can be saved without pickle."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """What a method also is that looks ahead. `foresees` names the derived series under which that is published."""

    foresees: str

    def foresight(self, row: Int64) -> Float64:
        """What is foreseen, its lower and its upper end, float64[n, 3], as of each row's last reading; NaN where unknown."""
        ...


class Rows:
    """Columns of state with one row a series; a new row starts as `blank` says.

    Where a row has several numbers of a kind, the first of all rows lie together, then the second: a tick reads one number
    of many series.

    >>> rows = Rows(level=0.0, ring=np.zeros(3))
    >>> rows.reserve(np.array([4])), rows.reserve(np.array([2]))
    (True, False)
    >>> rows["level"][[4]] = 7.0
    >>> rows["ring"].shape[1], rows["level"][4].item()
    (3, 7.0)
    """

    def __init__(self, **blank: npt.ArrayLike) -> None:
        self._blank = {name: np.asarray(value) for name, value in blank.items()}
        self._columns = {name: _filled(0, value) for name, value in self._blank.items()}
        self._size = 0

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        return self._columns[column]

    def reserve(self, at: Place) -> bool:
        """Make sure that these rows exist; True where some did not."""
        wanted = at.stop if isinstance(at, slice) else int(np.maximum.reduce(at, initial=-1)) + 1
        if wanted <= self._size:
            return False
        size = max(wanted, 2 * self._size)
        for name, blank in self._blank.items():
            column = _filled(size, blank)
            column[: self._size] = self._columns[name]
            self._columns[name] = column
        self._size = size
        return True

    def state(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        return {prefix + name: column.copy(order="F") for name, column in self._columns.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]], prefix: str = "") -> None:
        """Go on from `state`, whose arrays are taken over. Raises BadInput where one is missing, as from another version."""
        missing = [name for name in self._blank if prefix + name not in state]
        if missing:
            raise BadInput(f"the snapshot lacks {', '.join(missing)}; it was taken by another version")
        self._columns = {name: np.asfortranarray(state[prefix + name]) for name in self._blank}
        self._size = len(next(iter(self._columns.values())))


def _filled(rows: int, blank: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.full((rows, *blank.shape), blank, blank.dtype, order="F")
