"""A backtest is the live stage over again: what it told, when, and what that was worth against what was marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.backtest import Alarm, Backtest, Marked, Readings, SeriesResult, readings_of
from detectors.evaluation import labelled_series_detector
from detectors.event_score import EventScores
from detectors.plan import DetectionConfig
from detectors.stage import DetectorStage
from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, Series, SeriesSet

RATE = canonical_series("shop", "requests_per_second")
QUEUE = canonical_series("shop", "queue_depth")
LOAD1 = canonical_series("shop", "host_load1")
ODD = Series("orders an hour", {"service": "shop"}, "", "gauge", "shop")
KNOWN = SeriesSet("shop", (RATE, QUEUE, LOAD1, ODD))
OBJECTIVES = {"shop": Objective(latency_p99_seconds=0.150)}


def ticks(seconds: int = 200) -> list[Samples]:
    """The queue fills for ten seconds from second 120 on; the odd series, which goes below 0, jumps at second 160."""
    noise = np.random.default_rng(3).standard_normal((seconds, 2))
    readings = [
        {
            RATE.id: 110.0 + 5.0 * noise[second, 0],
            QUEUE.id: 300.0 if 120 <= second < 130 else 0.0,
            LOAD1.id: 900.0 if second == 150 else 1.0,
            ODD.id: (40.0 if 160 <= second < 170 else -3.0) + 0.2 * noise[second, 1],
        }
        for second in range(seconds)
    ]
    return [Samples.of("shop", "", second * 1000, one) for second, one in enumerate(readings)]


def run(since_s: int = 0, marked: Sequence[Marked] = ()) -> dict[str, SeriesResult]:
    backtest = Backtest(KNOWN, OBJECTIVES, DetectionConfig())
    for tick in ticks():
        backtest.judge(tick)
    readings = readings_of(Samples.concat(ticks()), since_s * 1000)
    return {one.series.name: one for one in backtest.results(readings, marked, 1.0, since_s * 1000)}


def told(outgoing: Sequence[Outgoing]) -> list[object]:
    return [(out.topic, out.message) for out in outgoing if out.topic == "anomalies"]


def test_it_tells_what_the_stage_tells_when_the_stage_tells_it() -> None:
    known = SeriesSet("shop", (RATE, QUEUE, LOAD1))
    live, backtest = DetectorStage(OBJECTIVES), Backtest(known, OBJECTIVES, DetectionConfig())
    live.process([Record("series", 0, 0, "shop", known)], 0)

    said = [(told(live.process([Record("samples", 0, 0, "shop", tick)], 0)), told(backtest.judge(tick))) for tick in ticks()]

    assert all(ours == theirs for theirs, ours in said)
    assert [second for second, (ours, _) in enumerate(said) if ours] == [120, 134]


def test_of_a_series_that_is_no_signal_it_tells_what_the_published_scores_are_made_of() -> None:
    rng = np.random.default_rng(6)
    values = 10.0 + rng.standard_normal(2_000).cumsum() + rng.standard_normal(2_000)
    values[1_500:1_540] += 20.0
    backtest = Backtest(SeriesSet("shop", (ODD,)), {}, DetectionConfig())
    alone = labelled_series_detector({"kind": "interval", "step_s": 60.0})
    scored = [60_000 * at for at, value in enumerate(values.tolist()) if alone.update(60.0 * at, value)[1]]

    for at, value in enumerate(values.tolist()):
        backtest.judge(Samples.of("shop", "", 60_000 * at, {ODD.id: value}))
    (result,) = backtest.results({ODD.id: Readings(len(values), 0, 60_000 * len(values))}, (), 60.0, 0)

    assert [alarm.told_ms for alarm in result.alarms] == scored == [60_000 * 1_500]


def test_an_alarm_counts_from_when_it_was_told_and_as_it_ended() -> None:
    (alarm,) = run()["queue_depth"].alarms

    assert (alarm.told_ms, alarm.anomaly.start_ms, alarm.anomaly.end_ms) == (120_000, 120_000, 129_000)
    assert run()["queue_depth"].stretches_ms() == [(120_000, 129_000)]


def test_only_what_is_judged_live_and_what_is_no_signal_is_told_of() -> None:
    results = run()

    assert set(results) == {"requests_per_second", "queue_depth", "orders an hour"}
    assert [alarm.told_ms for alarm in results["orders an hour"].alarms] == [160_000]
    assert results["requests_per_second"].alarms == ()


def test_what_began_before_what_counts_is_learnt_from_only() -> None:
    results = run(since_s=140)

    assert results["queue_depth"].alarms == ()
    assert results["queue_depth"].readings == Readings(60, 140_000, 199_000)
    assert len(results["orders an hour"].alarms) == 1


def test_a_mark_is_caught_by_the_series_in_which_it_showed_and_explains_the_alarms_of_all() -> None:
    both = Marked(118_000, 165_000, "drill", frozenset({QUEUE.id, RATE.id}))
    before = Marked(10_000, 20_000, "earlier", frozenset({QUEUE.id}))
    results = run(since_s=50, marked=[before, both])

    scores = {name: (one.scores.found, one.scores.events, one.scores.false_alarms) for name, one in results.items()}
    assert scores == {"queue_depth": (1, 1, 0), "requests_per_second": (0, 1, 0), "orders an hour": (0, 0, 0)}
    assert results["queue_depth"].scores.delays_steps == (2.0,)
    assert run()["orders an hour"].scores.false_alarms == 1


def test_anomalies_that_overlap_are_one_stretch_and_an_open_one_lasts_until_now() -> None:
    def alarm(start_ms: int, end_ms: int | None) -> Alarm:
        anomaly = Anomaly(f"{start_ms}", "shop", "7", "q{}", "robust_band", start_ms, end_ms, 2.0, "above", 9.0, 1.0, "")
        return Alarm(anomaly, start_ms)

    told = (alarm(1_000, 5_000), alarm(4_000, 6_000), alarm(8_000, None))

    assert SeriesResult(QUEUE, Readings(10, 0, 9_000), told, EventScores()).stretches_ms() == [
        (1_000, 6_000),
        (8_000, 9_000),
    ]
