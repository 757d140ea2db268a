"""The values of a target's pages, as columns → its readings. Which row measures what is worked out once a layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collectors.increments import Counted, Growth, Increments
from collectors.layout import Layout, Measured
from collectors.measures import QUANTITIES, Key, Reading
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
            self._levels, self._process, self._hardware = map(
                _Columns.of, (layout.instants, layout.process, layout.hardware)
            )
        instants = self._levels.instants(values)
        growth = self._increments.advance(
            time_ms,
            Counted(self._process.ids, values[self._process.position]),
            Counted(self._hardware.ids, values[self._hardware.position]),
            next((value for key, value in instants if key == ("process_start_seconds", ())), None),
        )
        return Reading(time_ms, instants, self._increased(growth), growth.interval_s), growth.restarted

    def _increased(self, growth: Growth) -> Mapping[Key, float]:
        if growth.interval_s is None:
            return {}
        return dict((*self._process.summed(growth.process), *self._hardware.summed(growth.hardware)))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Rows that measure something: where they are, the ids of their series, and which of `keys` each measures.

    `scale` turns a value into the base unit; `ratio` tells which are to lie between 0 and 1.
    """

    position: Places
    ids: tuple[int, ...]
    keys: tuple[Key, ...]
    key: Places
    scale: Float64
    ratio: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> _Columns:
        keys = {key: place for place, key in enumerate(dict.fromkeys(m.measure.key for m in measured))}
        return cls(
            np.array([m.position for m in measured], np.intp),
            tuple(m.series_id for m in measured),
            tuple(keys),
            np.array([keys[m.measure.key] for m in measured], np.intp),
            np.array([m.measure.scale for m in measured], np.float64),
            np.array([QUANTITIES[m.measure.quantity].unit == "ratio" for m in measured], np.bool_),
        )

    def instants(self, values: Float64) -> tuple[tuple[Key, float], ...]:
        """Levels as they are; see `Measure.value`."""
        scaled = values[self.position] * self.scale
        scaled = np.where(self.ratio, np.where(scaled < 0, np.nan, np.minimum(scaled, 1.0)), scaled)
        told = zip(self.key.tolist(), scaled.tolist(), strict=True)
        return tuple((self.keys[key], value) for key, value in told if value == value)  # noqa: PLR0124 - NaN is not

    def summed(self, grown: Float64) -> Iterator[tuple[Key, float]]:
        """Growth by what it measures: rows of one measure, such as the replicas of a server, add up."""
        told = ~np.isnan(grown)
        rows = self.key[told]
        sums = np.bincount(rows, grown[told] * self.scale[told], len(self.keys))
        counted = np.bincount(rows, minlength=len(self.keys)) > 0
        pairs = zip(self.keys, sums.tolist(), strict=True)
        return pairs if counted.all() else (pair for pair, there in zip(pairs, counted.tolist(), strict=True) if there)
