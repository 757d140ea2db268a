"""Long series at the width of a plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from recwatch.core.signals import Float64, Int64, Samples

MOST_COLUMNS = 1200


class Sketch:
    """The least and the greatest reading of each series in each of equal stretches of time, however many readings there are.

    >>> sketch = Sketch([7], start_ms=0, end_ms=3_999, step_ms=1_000)
    >>> sketch.take([Samples.of("shop", "", time_ms, {7: float(time_ms)}) for time_ms in (0, 1_000, 3_000)])
    >>> sketch.time_ms
    array([1000, 3000])
    >>> sketch.of(7)
    (array([   0., 3000.]), array([1000., 3000.]))
    """

    def __init__(self, series_ids: Iterable[int], start_ms: int, end_ms: int, step_ms: int) -> None:
        self._ids = np.unique(np.array(list(series_ids), dtype=np.uint64))
        self._start_ms = start_ms
        columns = max(1, min(MOST_COLUMNS, (end_ms - start_ms) // (2 * step_ms) + 1))
        self._width_ms = -(-(end_ms - start_ms + 1) // columns)
        self._low = np.full((len(self._ids), columns), np.nan)
        self._high = self._low.copy()

    @property
    def time_ms(self) -> Int64:
        """The middle of each stretch."""
        return self._start_ms + self._width_ms * np.arange(self._low.shape[1]) + self._width_ms // 2

    def take(self, batches: Sequence[Samples]) -> None:
        """Note readings; those of other series and other times are left out."""
        whole = Samples.concat(batches)
        row = np.minimum(np.searchsorted(self._ids, whole.series_id), len(self._ids) - 1)
        column = (whole.time_ms - self._start_ms) // self._width_ms
        here = (self._ids[row] == whole.series_id) & (column >= 0) & (column < self._low.shape[1])
        at = row[here], column[here]
        np.fmin.at(self._low, at, whole.value[here])
        np.fmax.at(self._high, at, whole.value[here])

    def of(self, series_id: int) -> tuple[Float64, Float64]:
        """Least and greatest reading of each stretch; NaN where there was none."""
        row = int(np.searchsorted(self._ids, np.uint64(series_id)))
        return self._low[row], self._high[row]
