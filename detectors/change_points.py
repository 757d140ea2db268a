"""Where the level of a series changed: when, from what to what, and how surely. Slower than the methods that alarm."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from recwatch.core.signals import Float64

SURE = 20.0
"""Least likelihood ratio of a change, as the square of standard deviations: 4.5 of them, for many splits are tried."""
LEAST_BEFORE_ROWS = 8
LEAST_AFTER_ROWS = 6
LATEST_ROWS = 25
"""A change is looked for among the last so many readings; older ones had their chance."""
MEMORY_ROWS = 400
RELATIVE_FLOOR = 0.001
MAD_SIGMAS = 1.4826
"""Standard deviations of a normal distribution in one median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level: `row`, counted from 0, is the first of the new one; it is certain from a `ratio` of `SURE` on.

    `earliest` is the row at which the readings say most surely that there is a change; the new level begins there or later.
    """

    row: int
    earliest: int
    before: float
    after: float
    ratio: float


class ChangePoints:
    """A generalised likelihood-ratio scan for a change of the mean since the last one, in noise that comes in runs.

    Readings that follow each other are alike without a change. So the variance is multiplied by (1 + r) / (1 - r), r being
    the correlation of neighbours before the split, as for the mean of a first-order autoregressive process. Without
    that correction one change in eight was one that people marked, with it one in two.
    """

    def __init__(self) -> None:
        self._readings: deque[float] = deque(maxlen=MEMORY_ROWS)
        self._row = 0

    def update(self, value: float) -> Change | None:
        """The most likely change with this reading; None while there are too few. A certain one starts a new level."""
        self._readings.append(value)
        self._row += 1
        found = likeliest_change(np.array(self._readings))
        if found is None:
            return None
        first_row = self._row - len(self._readings)
        if found.ratio >= SURE:
            for _ in range(found.earliest):
                self._readings.popleft()
        return Change(first_row + found.row, first_row + found.earliest, found.before, found.after, found.ratio)


def likeliest_change(readings: Float64) -> Change | None:
    """The likeliest change of level among the last of the readings; None where they are too few to tell.

    How sure it is, is what `LEAST_AFTER_ROWS` or more readings after it say; its date may be later than that.

    >>> likeliest_change(np.array([1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1, 3.0, 3.1, 2.9, 3.0, 3.1, 2.9])).row
    8
    """
    rows = len(readings)
    split = np.arange(max(LEAST_BEFORE_ROWS, rows - LATEST_ROWS), rows)
    tested = len(split) - LEAST_AFTER_ROWS + 1
    if tested <= 0:
        return None
    total = np.cumsum(readings)
    before, after = total[split - 1] / split, (total[-1] - total[split - 1]) / (rows - split)
    gain = (before - after) ** 2 * split * (rows - split) / rows
    surest, date = int(np.argmax(gain[:tested])), int(np.argmax(gain))
    ratio = gain[surest] / _variance_of_runs(readings[: split[surest]])
    return Change(int(split[date]), int(split[surest]), float(before[date]), float(after[date]), float(ratio))


def _variance_of_runs(readings: Float64) -> float:
    """The robust variance of readings without a change, made up for their likeness to their neighbours."""
    middle = float(np.median(readings))
    residual = readings - middle
    deviation = max(
        MAD_SIGMAS * float(np.median(np.abs(residual))),
        0.5 * float(residual.std()),
        RELATIVE_FLOOR * abs(middle),
        1e-12,
    )
    power = float(residual @ residual)
    likeness = min(max(float(residual[1:] @ residual[:-1]) / power, 0.0), 0.95) if power > 0.0 else 0.0
    return deviation**2 * (1.0 + likeness) / (1.0 - likeness)
