"""Finds what runs out: a resource whose trend will have used it up within hours, as a memory leak or a disk that fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from detectors.panel import LARGEST, Batch, Judges, Rows, within
from recwatch.core.signals import Float64, Int64, Judgement

LIMIT = "limit"
"""Not a signal but the value at which the resource is used up, given beside the readings like one."""
BUCKETS = 60
NORMAL_99 = 2.576
GOES_ON = 0.25
"""Share of the trend's speed that each half of the window has for sure. A large file beside a log that grows leaves a step
in a slow trend: either half falls, and by far not as fast as the whole."""
NEARER = 0.9
NEXT_TO_NOTHING = 0.01
DAY_S = 86_400.0
MOST_ROWS = 4096
"""Rows whose slopes are worked out at once: each takes about 30 KB meanwhile."""


class Trend(NamedTuple):
    """Slope a bucket with both ends of its 99 % interval, float64[n] each."""

    slope: Float64
    low: Float64
    high: Float64

    def towards(self, sign: Float64) -> Float64:
        """The speed in this direction, at the fast and at the slow end of the interval, float64[n, 3]."""
        ends = np.stack((self.low, self.high)) * sign
        return np.stack((self.slope * sign, ends.max(axis=0), ends.min(axis=0)), axis=1)


class Exhaustion:
    """Judges a resource by the time left until its trend reaches its limit.

    The trend is the Theil-Sen slope over the last `BUCKETS` means of `bucket_s`, with the interval that Kendall's statistic
    gives it (Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968). It counts only where both halves
    of the window go the same way for sure, at a quarter of its speed at least: a step is no trend. Nor does it count until
    the resource is a tenth nearer to its limit than it was before the window, today or the day before: it came back then, as
    a disk does at each rotation of its logs, and may come back again.

    The score is `within_h` over the time left at the slow end of the interval, so 1 says that the resource is used up within
    these hours even then; without a trend it is 0. Once it was 1 the slope alone keeps it there, until half of a window's
    fall is undone or a tenth more is left than at first. What has but a hundredth left of that has no time left, until more
    is there again.
    """

    name = "exhaustion"
    needs: tuple[str, ...] = (LIMIT,)
    judges: Judges = "otherwise"
    foresees = "recwatch_exhaustion_seconds"

    def __init__(
        self,
        within_h: Annotated[float, Field(gt=0.0, le=720.0)] = 4.0,
        bucket_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 60.0,
    ) -> None:
        self._within_s, self._bucket_s = 3600.0 * within_h, bucket_s
        self._rows = Rows(
            bucket=np.int64(-1),
            total=0.0,
            readings=0.0,
            filled=np.int64(0),
            means=np.zeros(BUCKETS),
            left_s=np.full(3, np.nan),
            today=np.inf,
            day_before=np.inf,
            told=0.0,
        )

    def update(self, batch: Batch) -> Judgement:
        row, at, value, rows = batch.row, batch.at, within(batch.value, LARGEST), self._rows
        rows.reserve(at)
        limit = within(batch.beside[LIMIT], LARGEST)
        bucket = (batch.time_ms // round(1000 * self._bucket_s)).astype(np.int64)
        over = np.flatnonzero(bucket != rows["bucket"][at])
        if len(over):
            self._close(row[over], bucket[over], limit[over])
        rows["total"][at] += value
        rows["readings"][at] += 1.0
        by_slope_s, _, at_most_s = rows["left_s"][at].T
        left_s = np.where((rows["told"][at] > 0.0) & ~(at_most_s <= self._within_s), by_slope_s, at_most_s)
        known = np.where((rows["filled"][at] >= BUCKETS) & ~np.isnan(limit), 0.0, np.nan)
        score = known + np.where(np.isnan(left_s), 0.0, self._within_s / np.maximum(left_s, self._bucket_s))
        return Judgement(score, value + known, np.minimum(value, limit) + known, np.maximum(value, limit) + known)

    def foresight(self, row: Int64) -> Float64:
        """Seconds left until the limit, and the interval of that, float64[n, 3]; NaN where nothing is running out."""
        self._rows.reserve(row)
        left_s: Float64 = self._rows["left_s"][row]
        return left_s

    def _close(self, row: Int64, bucket: Int64, limit: Float64) -> None:
        """Take in the buckets that are over; after a gap of half a window, or a clock set back, begin anew."""
        rows = self._rows
        passed = bucket - rows["bucket"][row]
        ended = np.flatnonzero(rows["readings"][row] > 0.0)
        if len(ended):
            self._remember(row[ended], bucket[ended], passed[ended], limit[ended])
            self._take_in(row[ended], passed[ended])
        rows["bucket"][row] = bucket
        rows["total"][row] = 0.0
        rows["readings"][row] = 0.0
        rows["left_s"][row] = np.nan
        full = np.flatnonzero((rows["filled"][row] >= BUCKETS) & ~np.isnan(limit))
        for part in np.array_split(full, -(-len(full) // MOST_ROWS) or 1):
            rows["left_s"][row[part]] = self._left_s(row[part], limit[part])
        self._hold(row[full], limit[full])

    def _remember(self, row: Int64, bucket: Int64, passed: Int64, limit: Float64) -> None:
        """How near to its limit a resource was in what leaves the window, today and the day before."""
        rows, a_day = self._rows, round(DAY_S / self._bucket_s)
        days = bucket // a_day - (bucket - passed) // a_day
        today = rows["today"][row]
        rows["day_before"][row] = np.where(days == 0, rows["day_before"][row], np.where(days == 1, today, np.inf))
        leaves = np.where(rows["filled"][row] >= BUCKETS, np.abs(limit - rows["means"][row, 0]), np.inf)
        rows["today"][row] = np.fmin(np.where(days == 0, today, np.inf), leaves)

    def _take_in(self, row: Int64, passed: Int64) -> None:
        """Append means; buckets without a reading go on as the one before."""
        rows = self._rows
        mean = rows["total"][row] / rows["readings"][row]
        anew = (passed < 0) | (passed > BUCKETS // 2)
        steps = np.where(anew, 1, passed)
        place = np.minimum(np.arange(BUCKETS) + steps[:, None], BUCKETS)
        padded = np.concatenate((rows["means"][row], mean[:, None]), axis=1)
        rows["means"][row] = np.take_along_axis(padded, place, axis=1)
        rows["filled"][row] = np.where(anew, 1, np.minimum(rows["filled"][row] + steps, BUCKETS))

    def _left_s(self, row: Int64, limit: Float64) -> Float64:
        """Seconds from now to the limit: by the slope, at the fast and at the slow end of its interval."""
        rows, half = self._rows, BUCKETS // 2
        means = rows["means"][row]
        whole, *parts = trend(means), trend(means[:, :half]), trend(means[:, half:])
        last = limit - means[:, -1]
        towards = np.sign(last)
        speed = whole.towards(towards)
        nearer = np.abs(last) < NEARER * np.minimum(rows["today"][row], rows["day_before"][row])
        goes_on = np.min([part.towards(towards)[:, 2] for part in parts], axis=0) > GOES_ON * speed[:, 0]
        now = np.median(means + whole.slope[:, None] * (BUCKETS - 0.5 - np.arange(BUCKETS)), axis=1)
        away = np.maximum(towards * (limit - now), 0.0)
        back = np.abs(last) - away > half * speed[:, 0]
        sure = nearer & goes_on & (speed[:, 2] > 0.0)
        runs = ~back & (sure | (rows["told"][row] > 0.0))
        left = self._bucket_s * away[:, None] / np.where(runs[:, None] & (speed > 0.0), np.maximum(speed, 1e-300), np.nan)
        return within(left, LARGEST)

    def _hold(self, row: Int64, limit: Float64) -> None:
        """Go on with what has run out, and begin anew with what was filled up after that."""
        rows, told = self._rows, self._rows["told"][row]
        before, left = np.abs(limit[:, None] - rows["means"][row, -2:]).T
        out = left <= NEXT_TO_NOTHING * told
        was_out = before <= NEXT_TO_NOTHING * told
        running = rows["left_s"][row, 2] <= self._within_s
        rows["told"][row] = np.where(NEARER * left <= told, told, np.where(running, left, 0.0))
        rows["left_s"][row[out & (told > 0.0)]] = 0.0
        refilled = row[was_out & ~out & (told > 0.0)]
        rows["filled"][refilled] = 0
        rows["today"][refilled] = rows["day_before"][refilled] = np.inf

    def warmup_ratio(self, row: Int64) -> Float64:
        self._rows.reserve(row)
        ratio: Float64 = self._rows["filled"][row] / BUCKETS
        return ratio

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self._rows.state()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._rows.restore(state)


def trend(means: Float64) -> Trend:
    """The Theil-Sen slope of each row of float64[n, m], evenly spaced, and its 99 % interval.

    >>> rising = trend(np.array([[0.0, 1.1, 1.9, 3.0, 4.1, 5.0, 6.0, 6.9, 8.1, 9.0]]))
    >>> round(rising.slope.item(), 2), bool(rising.low[0] > 0.9), bool(rising.high[0] < 1.1)
    (1.0, True, True)
    """
    count = means.shape[1]
    first, second = np.triu_indices(count, 1)
    slopes = np.sort((means[:, second] - means[:, first]) / (second - first), axis=1)
    pairs = slopes.shape[1]
    spread = NORMAL_99 * np.sqrt(count * (count - 1) * (2 * count + 5) / 18.0)
    low, high = int(max((pairs - spread) // 2, 0)), int(min((pairs + spread) // 2 + 1, pairs - 1))
    return Trend(np.median(slopes, axis=1), slopes[:, low], slopes[:, high])
