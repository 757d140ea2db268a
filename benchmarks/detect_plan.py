"""What each method of the live plan finds of what goes wrong with its signals, beside what the others find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.detect_quality import corpus_of
from benchmarks.detect_variants import f1_by_source
from benchmarks.made_troubles import HOUR_TICKS, STEP_S, TICKS, TROUBLES, Trouble
from benchmarks.report import Row
from detectors import METHODS
from detectors.evaluation import run_together
from detectors.event_score import event_scores, pooled
from detectors.labelled import LabelledSeries
from detectors.latency_given_load import LOAD
from detectors.plan import DetectionConfig
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import SIGNALS, canonical_series
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Samples, Series, SeriesSet

OBJECTIVE = Objective(latency_p99_seconds=0.150)
RPS = 110.0
ALSO: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("targets_up_ratio", "gpu_memory_used_ratio"), ("robust_band",)),
    **dict.fromkeys(("gpu_power_watts", "gpu_temperature_celsius", "host_cpu_busy_ratio"), ("flat_line",)),
}
"""What is asked beside the plan: what the default would find where a bound alone is judged by, and a flat line elsewhere."""
EVERYWHERE = ("robust_band", "level_shift", "flat_line")
YOUNG_TICKS = 2 * HOUR_TICKS


@dataclass(frozen=True, slots=True)
class Told:
    """The series of a trouble, and for each method the anomalies that it raised of them, as pairs (copy, tick)."""

    trouble: Trouble
    series: Sequence[Series]
    raised: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)

    def delay_ticks(self, method: str) -> Float64:
        """From the beginning of the trouble to the first anomaly in time, for each copy; infinite without one."""
        delay = np.full(len(self.series), np.inf)
        for copy, tick in self.raised[method]:
            since = tick - self.trouble.begins
            if 0 <= since <= self.trouble.within:
                delay[copy] = min(delay[copy], since)
        return delay

    def false(self, method: str) -> int:
        """Anomalies while all was well."""
        return sum(YOUNG_TICKS <= tick < self.trouble.begins for _, tick in self.raised[method])

    @property
    def well_days(self) -> float:
        """Series-days in which all was well, the first two hours left out."""
        return len(self.series) * max(self.trouble.begins - YOUNG_TICKS, 0) * STEP_S / 86_400


def detect_plan(out: Console) -> Sequence[Row]:
    """A day and a half of each trouble, a reading every fifteen seconds, through the stage as it runs live.

    A trouble begins after a day unless it was there from the start. Found is what an anomaly was raised of within half an
    hour, or before all had moved where it moves slowly; the delay is the median over what was found. Noise and moves are in
    units of the least change that matters to the signal. On labelled series, as in `detect_quality`: what a method would do
    that judged every series beside the default.
    """
    labelled = [series for series in corpus_of() if series.kind == "interval"]
    told = [_nothing_yet(number, trouble) for number, trouble in enumerate(TROUBLES)]
    loads = [canonical_series(one.service, LOAD) for own in told for one in own.series if one.name.startswith("latency")]
    known = [*(one for own in told for one in own.series), *loads]
    place = {str(one.id): (own, copy) for own in told for copy, one in enumerate(own.series)}
    services = {one.service: [of for of in known if of.service == one.service] for one in known}
    stage = DetectorStage(dict.fromkeys(services, OBJECTIVE), DetectionConfig(also=dict(ALSO)))
    stage.process([Record("series", 0, 0, name, SeriesSet(name, tuple(own))) for name, own in services.items()], now_ms=0)
    for tick, records in enumerate(track(_ticks(known), "a day and a half", TICKS, console=out, transient=True)):
        for outgoing in stage.process(records, now_ms=0):
            anomaly = outgoing.message
            if isinstance(anomaly, Anomaly) and anomaly.end_ms is None and anomaly.series_id in place:
                own, copy = place[anomaly.series_id]
                own.raised[anomaly.method].append((copy, tick))
    return [*(row for own in told for row in _found(own)), *_false_alarms(told), *_for_every_series(labelled)]


def _nothing_yet(number: int, trouble: Trouble) -> Told:
    """A series for each copy, in one service by a label, or each in its own."""
    methods = DetectionConfig(also=dict(ALSO)).plan()[trouble.signal].methods
    label, copies = SIGNALS[trouble.signal].labels[:1], range(trouble.series)
    series = [
        canonical_series(f"{number}-{copy}", trouble.signal)
        if trouble.apart
        else canonical_series(str(number), trouble.signal, dict.fromkeys(label, str(copy)))
        for copy in copies
    ]
    return Told(trouble, series, {method: [] for method in methods})


def _ticks(known: Sequence[Series]) -> Iterator[list[Record]]:
    """The samples of every service, tick by tick: readings of the troubles, and at last the load of those with latency."""
    names, of = np.unique([one.service for one in known], return_inverse=True)
    order = np.argsort(of, kind="stable")
    ids = np.array([one.id for one in known], dtype=np.uint64)[order]
    ends = np.searchsorted(of[order], np.arange(len(names) + 1)).tolist()
    rows = [(str(name), slice(*own)) for name, own in zip(names, pairwise(ends), strict=True)]
    sources = [trouble.readings(seed) for seed, trouble in enumerate(TROUBLES)]
    arrivals, loads = np.random.default_rng(len(sources)), len(known) - sum(trouble.series for trouble in TROUBLES)
    for tick in range(TICKS):
        load = arrivals.poisson(RPS, loads).astype(np.float64)
        value = np.concatenate([*(next(source) for source in sources), load])[order]
        time_ms = np.full(len(value), 1000 * STEP_S * tick, dtype=np.int64)
        yield [Record("samples", 0, tick, name, Samples(name, "", time_ms[own], ids[own], value[own])) for name, own in rows]


def _found(told: Told) -> Iterator[Row]:
    """Shares found, by each method and by all together, and delays."""
    delays = {method: told.delay_ticks(method) for method in told.raised}
    together = {"all": np.min(list(delays.values()), axis=0)} if len(delays) > 1 else {}
    for method, ticks in {**delays, **together}.items():
        found = np.isfinite(ticks)
        yield Row(f"{told.trouble.what}: {method}", float(found.mean()), "of series")
        if found.any():
            yield Row(f"{told.trouble.what}: {method}", float(np.median(ticks[found])) * STEP_S / 60, "min later")


def _false_alarms(told: Sequence[Told]) -> Iterator[Row]:
    """Anomalies while all is well, by signal and method."""
    for signal in dict.fromkeys(own.trouble.signal for own in told):
        same = [own for own in told if own.trouble.signal == signal and own.well_days > 0.0]
        for method in same[0].raised if same else ():
            a_day = sum(own.false(method) for own in same) / sum(own.well_days for own in same)
            yield Row(f"{signal} that is well: {method}", a_day, "a series-day")


def _for_every_series(labelled: Sequence[LabelledSeries]) -> Iterator[Row]:
    """False alarms of each method on labelled series, and the mean F1 of the sources with it beside the default."""
    told = {name: [alarms for _, alarms in run_together(labelled, METHODS[name])] for name in EVERYWHERE}
    for name, alarms in told.items():
        both = [one | other for one, other in zip(told[EVERYWHERE[0]], alarms, strict=True)]
        alone, beside = ([event_scores(*pair) for pair in zip(labelled, each, strict=True)] for each in (alarms, both))
        f1 = float(np.mean(list(f1_by_source(labelled, beside).values())))
        yield Row(f"labelled series: {name}", pooled(alone).false_alarms_per_series_day, "false alarms a series-day")
        yield Row(f"labelled series: {name} beside the default", f1, "F1")
