"""The readings of all targets of a service → its canonical signals."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from collectors.formulas import FORMULAS, QUANTILES
from collectors.measures import Key, Labels, Reading
from collectors.tally import Tally
from recwatch.core.canonical import SIGNALS
from recwatch.core.quantiles import quantile

WINDOW_REQUESTS = 500
WINDOW_MS = 60_000
_QUEUE: Labels = (("stage", "queue"),)
_NO_LABELS: Labels = ()
_INNER = frozenset({"le", "quantile", "xid"})
"""Labels that formulas look at: within a histogram or a summary, and codes."""


class Fleet:
    """Computes the signals of one service once an interval.

    Levels and rates come from the latest reading of each target that is not stale, so that one missed scrape makes no dip;
    ratios, means and buckets only from growth not counted before: that of readings of this very interval. Latency quantiles
    and the share of errors are taken over a sliding window of such growth, and outlive a failed scrape in it.

    A signal that may tell models apart is given for the service as a whole, and for each model where there are several;
    hosts are told apart where there are several.
    """

    def __init__(self) -> None:
        self._windows: dict[Key, Window] = defaultdict(Window)

    def signals(self, time_ms: int, latest: Sequence[Reading]) -> dict[Key, float]:
        """The service's signals at `time_ms`, by name and labels; a signal that is undefined now is absent."""
        current = [reading for reading in latest if reading.time_ms == time_ms]
        if not current:
            return {}
        span_ms = round(1000 * max(reading.interval_s or 0.0 for reading in current))
        tally = Tally.of(latest, time_ms)
        signals: dict[Key, float] = {}
        for keep, names in grains(tally).items():
            kept = tally.keeping(keep, of_each=keep & {"model"})
            signals |= made(kept, names) | self._looking_back(kept, names, time_ms - span_ms, time_ms)
        return signals

    def _looking_back(self, tally: Tally, names: Sequence[str], start_ms: int, time_ms: int) -> dict[Key, float]:
        """What is taken over a window: quantiles and the share of errors; and the latency buckets that go into it."""
        quantiles = {name: QUANTILES[name] for name in names if name in QUANTILES}
        histograms = {q.histogram: tally.buckets(q.histogram) for q in quantiles.values()}
        windows = {what: self._grown(what, grown, "+Inf", start_ms, time_ms) for what, grown in histograms.items()}
        signals = {
            (name, labels): window_quantile(intervals, wanted.q)
            for name, wanted in quantiles.items()
            for labels, intervals in windows[wanted.histogram].items()
        }
        if "errors_ratio" in names:
            outcomes = self._grown("outcomes", _outcomes(tally), "requests", start_ms, time_ms)
            signals |= {("errors_ratio", labels): window_errors(intervals) for labels, intervals in outcomes.items()}
        if "latency_bucket_increments" in names:
            buckets = tally.buckets("latency_seconds").get(_NO_LABELS, {})
            signals |= {("latency_bucket_increments", (("le", le),)): count for le, count in buckets.items()}
        return {key: value for key, value in signals.items() if value is not None}

    def _grown(
        self, what: str, grown: Mapping[Labels, Mapping[str, float]], counted_by: str, start_ms: int, time_ms: int
    ) -> Mapping[Labels, Sequence[Interval]]:
        """The recent stretch of something, by its labels, with what grew in this interval."""
        for labels, by in grown.items():
            self._windows[what, labels].add(start_ms, time_ms, by.get(counted_by, 0.0), by)
        of_it = {key[1]: window for key, window in self._windows.items() if key[0] == what}
        return {labels: window.recent(time_ms) for labels, window in of_it.items()}


def grains(tally: Tally) -> Mapping[frozenset[str], Sequence[str]]:
    """Which labels are kept for which signals."""
    alone = {label for label in ("model", "host") if len(tally.distinct(label)) <= 1}
    found: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, signal in SIGNALS.items():
        labels = (frozenset(signal.labels) - alone) | _INNER
        for keep in {labels, labels - {"model"}}:
            found[keep].append(name)
    return found


def made(tally: Tally, names: Iterable[str]) -> dict[Key, float]:
    """What the formulas of these signals make of the tally."""
    signals: dict[Key, float] = {}
    for name in names:
        for formula in FORMULAS.get(name, ()):
            signals |= {
                (name, labels): value for labels, value in formula.of(tally).items() if (name, labels) not in signals
            }
    queue = {labels: value for (name, labels), value in signals.items() if name == "stage_latency_mean_seconds"}.get(_QUEUE)
    return signals if queue is None else signals | {("queue_wait_mean_seconds", _NO_LABELS): queue}


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


def window_quantile(intervals: Sequence[Interval], q: float) -> float | None:
    """The quantile over a stretch; None where it holds too few requests to tell."""
    if sum(interval.requests for interval in intervals) < WINDOW_REQUESTS:
        return None
    les = sorted(intervals[0].grown, key=float)
    counts = [sum(interval.grown[le] for interval in intervals) for le in les]
    return quantile([float(le) for le in les], counts, q)


def window_errors(intervals: Sequence[Interval]) -> float | None:
    """The share of failed requests over a stretch; None without requests.

    A surge still shows in its first interval: where two fifths of many are shed, they are many of any 500.
    """
    requests = sum(interval.requests for interval in intervals)
    return sum(interval.grown["requests_failed"] for interval in intervals) / requests if requests else None


def _outcomes(tally: Tally) -> Mapping[Labels, Mapping[str, float]]:
    """Requests, and those that failed, where a server counts these at all."""
    requests, others, failed = (tally.growth(told) for told in ("requests", "other_calls", "requests_failed"))
    return {
        labels: {"requests": requests[labels] + others.get(labels, 0.0), "requests_failed": count}
        for labels, count in failed.items()
        if labels in requests
    }
