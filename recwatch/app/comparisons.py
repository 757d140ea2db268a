"""A service's latency since a change, and today, beside what it was before at equal load, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from collectors.fleet import WINDOW_MS
from detectors.equal_load import Difference, Incomparable, Stretch, at_equal_load
from detectors.latency_given_load import CACHE, LOAD, LOAD_SECONDS, LatencyGivenLoad
from detectors.plan import PLAN
from recwatch.core.canonical import LATENCY_QUANTILES
from recwatch.core.errors import Unavailable
from recwatch.core.events import Mark
from recwatch.core.recent import Recent
from recwatch.core.signals import Float64, Int64, Series
from recwatch.core.wording import clean, figure, utc

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DAYS = {"yesterday": DAY_MS, "a week ago": 7 * DAY_MS}
READINGS = 300
"""Of the time since a change; more are thinned to means."""
BEFORE_TIMES, BEFORE_LEAST_MS = 4, 900_000
"""The time before a change is so many times as long as that since, and so long at least: it should have seen most loads."""
MARKS_MS = (1 + BEFORE_TIMES) * DAY_MS
"""How far back marks matter."""
SETTLED_MS = round(1000 * LOAD_SECONDS)
ROLLED_OUT: frozenset[str] = frozenset({"deploy", "restart"})
CHANGING = ROLLED_OUT | {"knob_change"}
STEP_MS = 120_000
"""Between one target of a deploy and the next."""
NEARLY_ALL = 0.9
SURE = 1.5
"""A difference whose ends are no farther apart than by this factor is worth telling, and so is that there is none."""
MOST_CUT_OFF = 0.05
"""Share of the readings that are but a lower limit of the truth."""

Span = tuple[int, int]
"""Unix milliseconds, both ends included."""
Read = Callable[[Sequence[int], int, int, int], Mapping[int, tuple[Int64, Float64]]]
"""`time_ms` and value of series, by id, from a start to an end, as means over steps of so many seconds."""

Marks = Callable[[], Sequence[Mark]]
"""Those of the service since `MARKS_MS` ago."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency, by id the signals that it is compared at, and the reading in seconds that may be any longer time."""

    series: Series
    load: int
    cache: int | None
    limit_seconds: float

    @classmethod
    def of(cls, series: Series, recent: Recent) -> Latency | None:
        """None for what is no latency, and where the load is not known."""
        watch = PLAN.get(series.name)
        if watch is None or LatencyGivenLoad.name not in watch.methods:
            return None
        load, cache = (recent.of(series.service, name) for name in (LOAD, CACHE))
        if load is None or "model" in load.labels:
            return None
        buckets = recent.series(series.service, "latency_bucket_increments") if series.name in LATENCY_QUANTILES else []
        limit = max((le for bucket in buckets if isfinite(le := float(bucket.labels["le"]))), default=inf)
        return cls(series, load.id, None if cache is None or "model" in cache.labels else cache.id, limit)


def since_change(latency: Latency, change_ms: int, marks: Sequence[Mark], until_ms: int) -> tuple[Span, Span]:
    """The spans before and after a change, neither of which reaches into what another mark began.

    Deploys and restarts one soon after the other are one change, target by target. A latency tells of it alone once the
    queue has settled; a quantile, once its whole window lies behind it.
    """
    lag_ms = WINDOW_MS if latency.series.name in LATENCY_QUANTILES else SETTLED_MS
    done = sorted((mark for mark in marks if mark.kind in CHANGING), key=lambda mark: mark.time_ms)
    begin_ms, since_ms = _reached(change_ms, [mark for mark in done[::-1] if mark.time_ms < change_ms])
    end_ms, next_ms = _reached(change_ms, [mark for mark in done if change_ms < mark.time_ms <= until_ms])
    longest_ms = max(BEFORE_LEAST_MS, BEFORE_TIMES * (until_ms - end_ms))
    before = max(begin_ms - longest_ms, 0 if since_ms is None else since_ms + 1), begin_ms - 1
    return before, (end_ms + lag_ms + 1, until_ms if next_ms is None else next_ms - 1)


def _reached(change_ms: int, marks: Iterable[Mark]) -> tuple[int, int | None]:
    """How far a change reaches, and when the next one is; `marks` are those on one side of it, the nearest first."""
    for mark in marks:
        if mark.kind not in ROLLED_OUT or abs(mark.time_ms - change_ms) > STEP_MS:
            return change_ms, mark.time_ms
        change_ms = mark.time_ms
    return change_ms, None


def difference(latency: Latency, read: Read, spans: tuple[Span, Span], step_s: int = 1) -> Difference | Incomparable | None:
    """How latency differs from the earlier to the later span at equal load; None where one has no reading at all."""
    before, after = (_stretch(latency, read, span, step_s) for span in spans)
    if not len(before.time_ms) or not len(after.time_ms):
        return None
    if any(np.mean(stretch.latency_seconds >= latency.limit_seconds) > MOST_CUT_OFF for stretch in (before, after)):
        return Incomparable("too many readings are beyond the last bucket")
    return at_equal_load(before, after)


def compared(series: Series, recent: Recent, changed_ms: int | None, marks: Marks, read: Read) -> tuple[str, ...]:
    """Sentences on a latency since the last day's latest deploy, else since `changed_ms`, and on days; on nothing else.

    Only of a latency are `marks` and `read` asked, and where these are not to be had, a sentence says why.
    """
    latency, last = Latency.of(series, recent), recent.last(series.id)
    if latency is None or last is None:
        return ()
    try:
        return (*_since(latency, last[0], marks(), changed_ms, read), *_days(latency, last[0], read))
    except Unavailable as error:
        return (f"It cannot be compared at equal load just now: {error}.",)


def _since(latency: Latency, now_ms: int, marks: Sequence[Mark], changed_ms: int | None, read: Read) -> Iterator[str]:
    deploys = [mark for mark in marks if mark.kind == "deploy" and now_ms - DAY_MS <= mark.time_ms < now_ms]
    deploy = max(deploys, key=lambda mark: mark.time_ms, default=None)
    begin_ms = changed_ms if deploy is None else deploy.time_ms
    if begin_ms is None:
        return
    since = "that change" if deploy is None else f"deploy {clean(deploy.text)} at {utc(begin_ms)}"
    step_s = max(1, (now_ms - begin_ms) // (1000 * READINGS))
    found = difference(latency, read, since_change(latency, begin_ms, marks, now_ms), step_s)
    match found:
        case Difference():
            yield f"Since {since} it is {claim(found)}."
        case Incomparable(reason):
            yield f"Since {since} it cannot be compared at equal load: {reason}."


def _days(latency: Latency, now_ms: int, read: Read) -> Iterator[str]:
    """The last hour beside the same hour on other days, as far as there are readings of those."""
    hour = now_ms - HOUR_MS + 1, now_ms
    for day, ago_ms in DAYS.items():
        found = difference(latency, read, ((hour[0] - ago_ms, hour[1] - ago_ms), hour), step_s=60)
        match found:
            case Difference():
                yield f"Against the same hour {day}, it is {claim(found)} in the last hour."
            case Incomparable(reason):
                yield f"Against the same hour {day}, the last hour cannot be compared at equal load: {reason}."


def claim(found: Difference) -> str:
    """What a difference amounts to.

    >>> claim(Difference(1.34, 1.31, 1.37, 1.0)), claim(Difference(3.1, 2.9, 3.3, 0.4))
    ('34 % higher at equal load (31 % to 37 %)', '3.1 times as high at equal load (2.9 to 3.3; 40 % of its readings tell)')
    >>> claim(Difference(0.9, 0.85, 0.95, 1.0)), claim(Difference(1.01, 0.98, 1.05, 1.0))
    ('10 % lower at equal load (5.0 % to 15 %)', 'no different at equal load, as far as can be told (-2.0 % to 5.0 %)')
    >>> claim(Difference(1.2, 0.4, 3.6, 1.0))
    'too uncertain to tell at equal load (0.4 to 3.6 times as high)'
    """
    tell = f"; {_percent(found.shared_ratio)} of its readings tell" if found.shared_ratio < NEARLY_ALL else ""
    more = [_percent(ratio - 1.0) for ratio in (found.low, found.ratio, found.high)]
    less = [_percent(1.0 - ratio) for ratio in (found.high, found.ratio, found.low)]
    times = [figure(ratio, "") for ratio in (found.low, found.ratio, found.high)]
    if found.low <= 1.0 <= found.high > SURE * found.low:
        return f"too uncertain to tell at equal load ({times[0]} to {times[2]} times as high{tell})"
    if found.low <= 1.0 <= found.high:
        return f"no different at equal load, as far as can be told ({more[0]} to {more[2]}{tell})"
    if found.ratio >= 2.0:
        return f"{times[1]} times as high at equal load ({times[0]} to {times[2]}{tell})"
    low, mid, high = more if found.ratio > 1.0 else less
    return f"{mid} {'higher' if found.ratio > 1.0 else 'lower'} at equal load ({low} to {high}{tell})"


def _percent(share: float) -> str:
    """As many digits as an interval is worth."""
    return f"{100.0 * share:.{0 if abs(share) >= 0.0995 else 1}f} %"


def _stretch(latency: Latency, read: Read, span: Span, step_s: int) -> Stretch:
    """The readings of the moments at which all signals have one."""
    ids = [latency.series.id, latency.load, *([] if latency.cache is None else [latency.cache])]
    rows = read(ids, *span, step_s)
    times = rows[ids[0]][0]
    for other in ids[1:]:
        times = np.intersect1d(times, rows[other][0], assume_unique=True)
    seconds, load, *hits = (rows[i][1][np.isin(rows[i][0], times)] for i in ids)
    return Stretch(times, seconds, load, hits[0] if hits else np.zeros(len(times)))
