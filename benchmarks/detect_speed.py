"""How many points a second the detectors judge and learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, cycle, islice

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.part_shares import shares
from benchmarks.ratios import median_ratio
from benchmarks.report import Row
from benchmarks.timing import Work, in_turns
from detectors import METHODS, daily_profile, hold, tail, views
from detectors.evaluation import labelled_series_detector
from detectors.exhaustion import LIMIT
from detectors.latency_given_load import CACHE, LOAD
from detectors.objective import BOUND
from detectors.panel import Batch
from detectors.plan import PLAN
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import SIGNALS, canonical_series
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Samples, Series, SeriesSet

ROWS = (30, 1_000, 10_000)
SERVICES = (1, 147)
"""With eight GPUs each; a tick of all of them is about 70 and about 10,000 signals."""
SINGLE_ROWS = 1_000
WARM_TICKS = 35
"""Past the warm-up of every method: what is timed is judging, not abstaining."""
TICKS = 50
LABELS = {"gpu": tuple(map(str, range(8))), "stage": ("recall", "rank", "rerank")}
LOOSE = Objective(latency_p99_seconds=100.0, errors_ratio=100.0)
MILLIONS = ">= 3000000"
PARTS = (views, daily_profile, tail, hold)
SNAPSHOT_SERVICES = 1_220
"""About 100,000 signals."""
ALONE_READINGS = 3_000


def detect_speed(out: Console) -> Sequence[Row]:
    """Readings are normal noise, a second apart, judged and learnt after the warm-up; figures are medians of calls.

    Shares are of the time of robust_band with 10,000 rows; the views' includes the profile's. State and snapshots are of
    the whole stage. A snapshot comes first, as every half minute where it runs: what that gives back, the allocator keeps.
    """
    snapshots = _snapshot_rows()
    cases = [(name, rows) for name in METHODS for rows in _rows_for(name)]
    methods = [_method_row(name, rows) for name, rows in track(cases, "methods", console=out, transient=True)]
    stages = [_stage_row(services) for services in track(SERVICES, "whole stage", console=out, transient=True)]
    ratios = [_ratio_over_river(rows) for rows in track(ROWS, "panel and loop", console=out, transient=True)]
    return [
        *methods,
        *_share_rows(),
        _alone_row(),
        *stages,
        *snapshots,
        *ratios,
        _ratio_over_single_rows(SINGLE_ROWS),
    ]


def _rows_for(name: str) -> Sequence[int]:
    """Models of libraries run in a loop, whose cost is the same for each row; statsmodels' fits are not on this path."""
    return () if name.startswith("statsmodels_") else ROWS[:1] if name.startswith("river_") else ROWS


def _method_row(name: str, rows: int) -> Row:
    goal = MILLIONS if (name, rows) == ("robust_band", max(ROWS)) else None
    return Row(f"{name}, {rows:,} rows", rows / _median_s(_panel(name, rows)), "points/s", goal)


def _share_rows() -> list[Row]:
    work = _panel("robust_band", max(ROWS))
    in_turns({"warm": work}, range(WARM_TICKS))
    return [Row(f"robust_band, share of {part}", share, "ratio") for part, share in shares(work, TICKS, PARTS).items()]


def _alone_row() -> Row:
    """A series of a reading a minute, some days old, so that the daily profile takes part."""
    detector = labelled_series_detector({"kind": "interval", "step_s": 60.0})
    readings = enumerate(10.0 + np.random.default_rng(0).standard_normal(ALONE_READINGS + TICKS))

    def one_point() -> None:
        minute, value = next(readings)
        detector.update(60.0 * minute, value)

    in_turns({"warm": one_point}, range(ALONE_READINGS))
    taken = in_turns({"point": one_point}, range(TICKS))["point"]
    return Row("one series alone", 1e6 * float(np.median(taken)), "µs a point", "<= 150")


def _snapshot_rows() -> list[Row]:
    stage, series = _stage(SNAPSHOT_SERVICES)
    ticks = iter(list(islice(_ticks(series), 2)))
    for tick in ticks:
        stage.process(tick, now_ms=0)
    fresh = DetectorStage(dict.fromkeys(series, LOOSE))
    kept: list[bytes] = []
    taken_s = in_turns({"snapshot": lambda: kept.append(stage.snapshot())}, range(1))["snapshot"][0]
    restored_s = in_turns({"restore": lambda: fresh.restore(kept[0])}, range(1))["restore"][0]
    count = sum(map(len, series.values()))
    return [
        Row(f"snapshot and restore of {count:,} signals", taken_s + restored_s, "s", "<= 2"),
        Row("state of a signal, snapshot over signals", len(kept[0]) / count, "bytes", "<= 2048"),
    ]


def _stage(services: int) -> tuple[DetectorStage, Mapping[str, Sequence[Series]]]:
    """A stage that knows the signals of so many services, and these."""
    series = {service: signals_of(service) for service in (f"shop-{number}" for number in range(services))}
    stage = DetectorStage(dict.fromkeys(series, LOOSE))
    stage.process([Record("series", 0, 0, name, SeriesSet(name, known)) for name, known in series.items()], now_ms=0)
    return stage, series


def _stage_row(services: int) -> Row:
    stage, series = _stage(services)
    ticks = iter(list(islice(_ticks(series), WARM_TICKS + TICKS)))
    rows = sum(map(len, series.values()))
    what = f"whole stage, {rows:,} signals, services: {services}"
    goal = MILLIONS if services == max(SERVICES) else None
    return Row(what, rows / _median_s(lambda: stage.process(next(ticks), now_ms=0)), "points/s", goal)


def _ratio_over_river(rows: int) -> Row:
    """Not the same formula: River's is the simpler one, and our adapter gives it the same duties."""
    what = f"points/s, robust_band over River's model in a loop, {rows:,} rows"
    return Row(what, _times_as_fast(_panel("robust_band", rows), _panel("river_sad", rows)), "ratio")


def _ratio_over_single_rows(rows: int) -> Row:
    """The same method and the same readings give the same judgements: only the number of calls differs."""
    method, batches = METHODS["robust_band"](), _batches(rows)

    def one_by_one() -> None:
        for batch in _singly(next(batches)):
            method.update(batch)

    what = f"points/s, robust_band in one call over a call for each row, {rows:,} rows"
    return Row(what, _times_as_fast(_panel("robust_band", rows), one_by_one), "ratio")


def _times_as_fast(fast: Work, slow: Work) -> float:
    sides = {"fast": fast, "slow": slow}
    in_turns(sides, range(WARM_TICKS))
    taken = in_turns(sides, range(TICKS))
    return median_ratio(taken["slow"], taken["fast"])


def _median_s(call: Work) -> float:
    in_turns({"call": call}, range(WARM_TICKS))
    return float(np.median(in_turns({"call": call}, range(TICKS))["call"]))


def _panel(name: str, rows: int) -> Work:
    method, batches = METHODS[name](), _batches(rows)
    return lambda: method.update(next(batches))


def _batches(rows: int) -> Iterator[Batch]:
    """A reading a row and second, as many as one measurement takes, made ahead."""
    row = np.arange(rows)
    beside = {LOAD: np.full(rows, 100.0), CACHE: np.full(rows, 0.6), BOUND: np.full(rows, 20.0), LIMIT: np.full(rows, 100.0)}
    noise = _noise(rows)
    return iter([Batch(row, np.full(rows, second * 1000), next(noise), beside) for second in range(WARM_TICKS + TICKS)])


def _singly(batch: Batch) -> Iterator[Batch]:
    for one in (slice(row, row + 1) for row in range(len(batch))):
        beside = {name: column[one] for name, column in batch.beside.items()}
        yield Batch(batch.row[one], batch.time_ms[one], batch.value[one], beside)


def _ticks(series: Mapping[str, Sequence[Series]]) -> Iterator[Sequence[Record]]:
    """One tick of every service a second, as a stage polls them."""
    ids = {name: np.array([one.id for one in known], dtype=np.uint64) for name, known in series.items()}
    ends = np.cumsum([len(known) for known in series.values()])
    for second, values in zip(count(), _noise(int(ends[-1])), strict=False):
        of_services = zip(ids, np.split(values, ends[:-1]), strict=True)
        yield [
            Record("samples", 0, second, name, Samples(name, "", np.full(len(value), second * 1000), ids[name], value))
            for name, value in of_services
        ]


def _noise(rows: int) -> Iterator[Float64]:
    """Readings around 10; they come again after more ticks than a warm-up has."""
    return cycle(10.0 + np.random.default_rng(rows).standard_normal((WARM_TICKS + 20, rows)))


def signals_of(service: str) -> tuple[Series, ...]:
    """Every judged signal of a service."""
    return tuple(canonical_series(service, name, labels) for name in PLAN for labels in _labels(SIGNALS[name].labels))


def _labels(allowed: Sequence[str]) -> list[dict[str, str]]:
    carried = [name for name in allowed if name in LABELS]
    return [{name: value} for name in carried for value in LABELS[name]] or [{}]
