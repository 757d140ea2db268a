"""What is said of a round, as samples of the derived series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ensemble import Round
from detectors.layout import slices
from detectors.members import Members
from recwatch.core.signals import Int64, Samples, UInt64


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The cells of `Round.said` that have an id, reading by reading; kept for as long as rounds have the same members."""

    members: Members
    warming: tuple[int, ...]
    cell: Int64
    reading: Int64
    ids: UInt64

    @classmethod
    def of(cls, judged: Round) -> _Cells:
        lines, rows = judged.said.shape
        always = len(judged.members.ids) - len(judged.members.asked)
        ids = judged.members.ids[[*range(always), *(always + method for method in judged.warming)]].ravel("F")
        place = np.flatnonzero(ids)
        reading, line = np.divmod(place, lines)
        return cls(judged.members, judged.warming, line * rows + reading, reading, ids.take(place))


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """Those of the cells, at `place`, in which something is said; kept for as long as it is the same ones.

    `parts` has, for each service of which something is said, where that lies among all and under which ids; `firsts` is the
    first reading of each, and `counts` how much is said.
    """

    cells: _Cells
    finite: npt.NDArray[np.bool_]
    place: Int64
    firsts: Int64
    counts: Int64
    parts: tuple[tuple[str, slice, UInt64], ...]

    @classmethod
    def of(cls, cells: _Cells, finite: npt.NDArray[np.bool_], services: Mapping[str, slice]) -> _Told:
        place = np.flatnonzero(finite)
        reading, ids = cells.reading.take(place), cells.ids.take(place)
        ends = np.searchsorted(reading, [0, *(rows.stop for rows in services.values())])
        counts = np.diff(ends)
        filled = counts > 0
        parts = ((name, own, ids[own]) for name, own in slices(services, ends).items() if own.stop > own.start)
        return cls(cells, finite, place, reading[ends[:-1][filled]], counts[filled], tuple(parts))


class Judgements:
    """Turns rounds into a batch of samples for each service; what nothing is said of is left out."""

    def __init__(self) -> None:
        self._cells: _Cells | None = None
        self._told: _Told | None = None

    def of(self, judged: Round) -> Iterator[Samples]:
        cells, told = self._cells, self._told
        if cells is None or cells.members is not judged.members or cells.warming != judged.warming:
            self._cells = cells = _Cells.of(judged)
        values = judged.said.ravel().take(cells.cell)
        finite = np.isfinite(values)
        if told is None or told.cells is not cells or not np.array_equal(told.finite, finite):
            self._told = told = _Told.of(cells, finite, judged.services)
        times, values = np.repeat(judged.time_ms[told.firsts], told.counts), values.take(told.place)
        for service, own, ids in told.parts:
            yield Samples(service, "", times[own], ids, values[own])
