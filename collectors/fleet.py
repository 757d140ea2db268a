"""The readings of all targets of a service → its canonical signals."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

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
_QUEUE: Labels = (("stage", "queue"),)
_NO_LABELS: Labels = ()


class Fleet:
    """Computes the signals of one service once an interval.

    Levels and rates come from the latest reading of each target that is not stale, so that one missed scrape makes no dip;
    ratios, means and buckets only from growth not counted before: that of readings of this very interval.
    """

    def __init__(self) -> None:
        self._window = LatencyWindow()

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
            self._window.add(start_ms, time_ms, buckets)
            signals |= _shares(total) | _means(total) | self._window.quantiles()
            signals |= {("latency_bucket_increments", (("le", le),)): count for le, count in buckets.items()}
        return signals


class LatencyWindow:
    """Latency buckets of the last intervals: as many as hold 500 requests, and no more than 60 s."""

    def __init__(self) -> None:
        self._intervals: deque[tuple[int, int, Mapping[str, float]]] = deque()

    def add(self, start_ms: int, time_ms: int, buckets: Mapping[str, float]) -> None:
        """Take in the increments of an interval.

        Other bounds than before, or a clock that stepped back, start the window anew.
        """
        if self._intervals and (self._intervals[-1][1] >= time_ms or self._intervals[-1][2].keys() != buckets.keys()):
            self._intervals.clear()
        self._intervals.append((start_ms, time_ms, buckets))
        while self._intervals and self._intervals[0][0] < time_ms - WINDOW_MS:
            self._intervals.popleft()

    def quantiles(self) -> dict[Key, float]:
        """Quantiles over the shortest recent stretch that holds enough requests; none where there are too few."""
        requests, held = 0.0, []
        for _, _, buckets in reversed(self._intervals):
            held.append(buckets)
            requests += buckets.get("+Inf", 0.0)
            if requests >= WINDOW_REQUESTS:
                return _quantiles(held)
        return {}


def _quantiles(intervals: Sequence[Mapping[str, float]]) -> dict[Key, float]:
    les = sorted(intervals[0], key=float)
    bounds = [float(le) for le in les]
    counts = [sum(buckets[le] for buckets in intervals) for le in les]
    values = {name: quantile(bounds, counts, q) for name, q in _QUANTILES.items()}
    return {(name, _NO_LABELS): value for name, value in values.items() if value is not None}


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
    requests = [rate for name in ("requests_ok", "requests_failed") for rate in rates.get((name, _NO_LABELS), ())]
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


def _shares(total: Mapping[Key, float]) -> dict[Key, float]:
    signals = {}
    ok, failed = (total.get((name, _NO_LABELS)) for name in ("requests_ok", "requests_failed"))
    if ok is not None or failed is not None:
        requests = (ok or 0.0) + (failed or 0.0)
        signals["errors_ratio", _NO_LABELS] = (failed or 0.0) / requests if requests else 0.0
    hits, misses = (total.get((name, _NO_LABELS), 0.0) for name in ("cache_hits", "cache_misses"))
    if hits + misses:
        signals["cache_hit_ratio", _NO_LABELS] = hits / (hits + misses)
    return signals


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
