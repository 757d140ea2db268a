"""The readings of all targets of a service → its canonical signals."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from collectors.measures import Key, Labels, Reading
from recwatch.core.quantiles import quantile

WINDOW_REQUESTS = 500
WINDOW_MS = 60_000
_QUANTILES = {"latency_p50_seconds": 0.5, "latency_p95_seconds": 0.95, "latency_p99_seconds": 0.99}
_SUMMED = ("queue_depth", "replicas")
_AVERAGED = (
    "answer_quality_ratio",
    "gpu_busy_ratio",
    "gpu_memory_used_bytes",
    "gpu_sm_clock_hertz",
    "gpu_power_watts",
    "gpu_temperature_celsius",
)
_MEANS = {
    "latency_mean_seconds": ("latency_seconds_sum", "latency_seconds_count"),
    "stage_latency_mean_seconds": ("stage_seconds_sum", "stage_seconds_count"),
    "batch_size_mean": ("batch_size_sum", "batch_size_count"),
    "batch_duration_mean_seconds": ("batch_seconds_sum", "batch_seconds_count"),
}
_OUTCOMES = ("requests_ok", "requests_failed")
_QUEUE: Labels = (("stage", "queue"),)
_NO_LABELS: Labels = ()


class Fleet:
    """Computes the signals of one service once an interval.

    Levels and rates come from the latest reading of each target that is not stale, so that one missed scrape makes no dip;
    ratios, means and buckets only from growth not counted before: that of readings of this very interval. Latency quantiles
    and the share of errors are taken over a sliding window of such growth, and outlive a failed scrape in it.
    """

    def __init__(self) -> None:
        self._latency = Window()
        self._outcomes = Window()

    def signals(self, time_ms: int, latest: Sequence[Reading]) -> dict[Key, float]:
        """The service's signals at `time_ms`, by name and labels; a signal that is undefined now is absent."""
        current = [reading for reading in latest if reading.time_ms == time_ms]
        if not current:
            return {}
        signals = _levels(latest) | _rates(latest)
        grown = [reading.increments for reading in current if reading.interval_s is not None]
        if grown:
            start_ms = time_ms - round(1000 * max(reading.interval_s or 0.0 for reading in current))
            total = _summed(grown)
            buckets = _shared_buckets(grown)
            self._latency.add(start_ms, time_ms, buckets.get("+Inf", 0.0), buckets)
            outcomes = {name: total[name, _NO_LABELS] for name in _OUTCOMES if (name, _NO_LABELS) in total}
            self._outcomes.add(start_ms, time_ms, sum(outcomes.values()), outcomes)
            signals |= _cache(total) | _means(total)
            signals |= _quantiles(self._latency.recent(time_ms)) | _errors(self._outcomes.recent(time_ms))
            signals |= {("latency_bucket_increments", (("le", le),)): count for le, count in buckets.items()}
        return signals


class Interval(NamedTuple):
    """What grew in an interval, by name, and how many requests it is about."""

    start_ms: int
    time_ms: int
    requests: float
    grown: Mapping[str, float]


class Window:
    """The last intervals: as many as hold 500 requests, and no more than 60 s."""

    def __init__(self) -> None:
        self._intervals: deque[Interval] = deque()

    def add(self, start_ms: int, time_ms: int, requests: float, grown: Mapping[str, float]) -> None:
        """Take in the increments of an interval; one of which nothing is known, as after a failed scrape, changes nothing.

        Other names than before, or a clock that stepped back, start the window anew.
        """
        if not grown:
            return
        last = self._intervals[-1] if self._intervals else None
        if last is not None and (last.time_ms >= time_ms or last.grown.keys() != grown.keys()):
            self._intervals.clear()
        self._intervals.append(Interval(start_ms, time_ms, requests, grown))

    def recent(self, time_ms: int) -> Sequence[Interval]:
        """The shortest recent stretch that holds 500 requests; all of the last 60 s where they hold fewer."""
        while self._intervals and self._intervals[0].start_ms < time_ms - WINDOW_MS:
            self._intervals.popleft()
        requests, held = 0.0, []
        for interval in reversed(self._intervals):
            held.append(interval)
            requests += interval.requests
            if requests >= WINDOW_REQUESTS:
                break
        return held


def _quantiles(intervals: Sequence[Interval]) -> dict[Key, float]:
    """Quantiles over a stretch; none where it holds too few requests to tell."""
    if sum(interval.requests for interval in intervals) < WINDOW_REQUESTS:
        return {}
    les = sorted(intervals[0].grown, key=float)
    bounds = [float(le) for le in les]
    counts = [sum(interval.grown[le] for interval in intervals) for le in les]
    values = {name: quantile(bounds, counts, q) for name, q in _QUANTILES.items()}
    return {(name, _NO_LABELS): value for name, value in values.items() if value is not None}


def _errors(intervals: Sequence[Interval]) -> dict[Key, float]:
    """The share of failed requests over a stretch, so that one failure among few wakes nobody; none without requests.

    A surge still shows in its first interval: where two fifths of many are shed, they are many of any 500.
    """
    requests = sum(interval.requests for interval in intervals)
    failed = sum(interval.grown.get("requests_failed", 0.0) for interval in intervals)
    return {("errors_ratio", _NO_LABELS): failed / requests} if requests else {}


def _shared_buckets(grown: Iterable[Mapping[Key, float]]) -> dict[str, float]:
    """The sum of each bucket that all histograms have: instances of two releases may cut latency differently."""
    histograms = [h for increments in grown if (h := _by_le(increments))]
    shared = set.intersection(*(set(h) for h in histograms)) if histograms else set()
    return {le: sum(h[le] for h in histograms) for le in sorted(shared, key=float)}


def _by_le(increments: Mapping[Key, float]) -> dict[str, float]:
    return {labels[0][1]: grown for (name, labels), grown in increments.items() if name == "latency_seconds_bucket"}


def _summed(parts: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    total: dict[Key, float] = defaultdict(float)
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return dict(total)


def _levels(latest: Sequence[Reading]) -> dict[Key, float]:
    values: dict[Key, list[float]] = defaultdict(list)
    for reading in latest:
        for key, value in reading.instants:
            values[key].append(value)
    sums = {key: sum(found) for key, found in values.items() if key[0] in _SUMMED}
    return sums | {key: sum(found) / len(found) for key, found in values.items() if key[0] in _AVERAGED}


def _rates(latest: Sequence[Reading]) -> dict[Key, float]:
    """Growth a second, summed over the targets. Held-down time is a share of each GPU's own time, thus averaged."""
    rates: dict[Key, list[float]] = defaultdict(list)
    for reading in latest:
        for key, grown in reading.increments.items():
            rates[key].append(grown / (reading.interval_s or 1.0))
    signals = {
        ("gpu_throttled_ratio", key[1]): sum(min(1.0, rate) for rate in found) / len(found)
        for key, found in rates.items()
        if key[0] == "gpu_throttled_seconds"
    }
    requests = [rate for name in _OUTCOMES for rate in rates.get((name, _NO_LABELS), ())]
    if requests:
        signals["requests_per_second", _NO_LABELS] = sum(requests)
    busy, replicas = rates.get(("replica_busy_seconds", _NO_LABELS)), _replicas(latest)
    if busy and replicas:
        signals["replicas_busy_ratio", _NO_LABELS] = min(1.0, sum(busy) / replicas)
    return signals


def _replicas(latest: Sequence[Reading]) -> float:
    """Replicas of the targets whose busy time is known."""
    known = [dict(reading.instants) for reading in latest if ("replica_busy_seconds", _NO_LABELS) in reading.increments]
    return sum(instants.get(("replicas", _NO_LABELS), 0.0) for instants in known)


def _cache(total: Mapping[Key, float]) -> dict[Key, float]:
    hits, misses = (total.get((name, _NO_LABELS), 0.0) for name in ("cache_hits", "cache_misses"))
    return {("cache_hit_ratio", _NO_LABELS): hits / (hits + misses)} if hits + misses else {}


def _means(total: Mapping[Key, float]) -> dict[Key, float]:
    """Means of what happened in the interval; absent, not 0, where nothing did."""
    means = {
        (signal, labels): total[sums, labels] / count
        for signal, (sums, counts) in _MEANS.items()
        for (name, labels), count in total.items()
        if name == counts and count and (sums, labels) in total
    }
    queue = means.get(("stage_latency_mean_seconds", _QUEUE))
    return means if queue is None else means | {("queue_wait_mean_seconds", _NO_LABELS): queue}
