"""The values of a target's pages, as columns → its readings. Which row measures what is worked out once a layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collectors.increments import Counted, Growth, Increments
from collectors.layout import Layout, Measured
from collectors.measures import Key, Reading
from recwatch.core.signals import Float64

Places = npt.NDArray[np.intp]


class Reader:
    """Makes the readings of one target, in the order of their time; see `Increments` for `max_gap_ms`."""

    def __init__(self, max_gap_ms: int) -> None:
        self._increments = Increments(max_gap_ms)
        self._layout: Layout | None = None

    def read(self, layout: Layout, values: Float64, time_ms: int) -> tuple[Reading, bool]:
        """The reading of a page, and whether its process started anew; `values` are those of the rows kept, NaN for none."""
        if layout is not self._layout:
            self._layout = layout
            self._levels = [(m.position, m.measure.key, m.measure.value) for m in layout.instants]
            self._process, self._hardware = _Columns.of(layout.process), _Columns.of(layout.hardware)
        instants = self._instants(values.tolist())
        growth = self._increments.advance(
            time_ms,
            Counted(self._process.ids, values[self._process.position]),
            Counted(self._hardware.ids, values[self._hardware.position]),
            _process_start(instants),
        )
        return Reading(time_ms, instants, self._increased(growth), growth.interval_s), growth.restarted

    def _instants(self, values: Sequence[float]) -> tuple[tuple[Key, float], ...]:
        told = ((key, value_of(values[at])) for at, key, value_of in self._levels if not math.isnan(values[at]))
        return tuple((key, value) for key, value in told if math.isfinite(value))

    def _increased(self, growth: Growth) -> Mapping[Key, float]:
        if growth.interval_s is None:
            return {}
        return dict((*self._process.summed(growth.process), *self._hardware.summed(growth.hardware)))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Rows that measure something: where they are, the ids of their series, and which of `keys` each measures.

    `scale` turns a value into the base unit.
    """

    position: Places
    ids: tuple[int, ...]
    keys: tuple[Key, ...]
    key: Places
    scale: Float64

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> _Columns:
        keys = {key: place for place, key in enumerate(dict.fromkeys(m.measure.key for m in measured))}
        return cls(
            np.array([m.position for m in measured], np.intp),
            tuple(m.series_id for m in measured),
            tuple(keys),
            np.array([keys[m.measure.key] for m in measured], np.intp),
            np.array([m.measure.scale for m in measured], np.float64),
        )

    def summed(self, grown: Float64) -> Iterator[tuple[Key, float]]:
        """Growth by what it measures: rows of one measure, such as the replicas of a server, add up."""
        told = ~np.isnan(grown)
        rows = self.key[told]
        sums = np.bincount(rows, grown[told] * self.scale[told], len(self.keys))
        counted = np.bincount(rows, minlength=len(self.keys)) > 0
        pairs = zip(self.keys, sums.tolist(), strict=True)
        return pairs if counted.all() else (pair for pair, there in zip(pairs, counted.tolist(), strict=True) if there)


def _process_start(instants: Sequence[tuple[Key, float]]) -> float | None:
    """When the process started; unknown, too, of a page that is put together from several processes."""
    starts = [value for (quantity, _), value in instants if quantity == "process_start_seconds"]
    return starts[0] if len(starts) == 1 else None
