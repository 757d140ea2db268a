"""What is said of a round, as samples of the derived series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
        always = judged.members.ids.shape[1] - len(judged.members.asked)
        ids = judged.members.ids[:, [*range(always), *(always + method for method in judged.warming)]]
        reading, column = np.divmod(np.flatnonzero(ids), lines)
        return cls(judged.members, judged.warming, column * rows + reading, reading, ids[reading, column])


class Judgements:
    """Turns rounds into a batch of samples for each service; what nothing is said of is left out."""

    def __init__(self) -> None:
        self._cells: _Cells | None = None

    def of(self, judged: Round) -> Iterator[Samples]:
        cells = self._cells
        if cells is None or cells.members is not judged.members or cells.warming != judged.warming:
            self._cells = cells = _Cells.of(judged)
        values = judged.said.ravel().take(cells.cell)
        told = np.flatnonzero(np.isfinite(values))
        reading, ids, values = cells.reading.take(told), cells.ids.take(told), values.take(told)
        times = judged.time_ms.take(reading)
        ends = np.searchsorted(reading, [0, *(rows.stop for rows in judged.services.values())])
        for service, own in slices(judged.services, ends).items():
            if own.stop > own.start:
                yield Samples(service, "", times[own], ids[own], values[own])
