"""What detectors know of a service that they were taught the past of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Anomaly
from recwatch.core.signals import Samples, SeriesSet

REQUESTS = canonical_series("shop", "requests_per_second")
KNOWN = SeriesSet("shop", (REQUESTS,))
DAY_MS, MINUTE_MS = 86_400_000, 60_000
NOON_MS = 10 * DAY_MS + DAY_MS // 2


def usual(time_ms: int, seed: int) -> float:
    """Twice the traffic from noon on, every day."""
    return 100.0 * (1 + (time_ms % DAY_MS >= DAY_MS // 2)) + float(np.random.default_rng([seed, time_ms]).normal())


def history(days: int) -> Iterator[Samples]:
    """Minutes of the days before the tenth, and of its morning until a minute before what is live."""
    for start_ms in range((10 - days) * DAY_MS, NOON_MS - 2 * MINUTE_MS, DAY_MS // 2):
        times = np.arange(start_ms, min(start_ms + DAY_MS // 2, NOON_MS - 2 * MINUTE_MS), MINUTE_MS, dtype=np.int64)
        values = np.array([usual(time_ms, 1) for time_ms in times.tolist()])
        yield Samples("shop", "", times, np.full(len(times), REQUESTS.id, np.uint64), values)


def anomalies_around_noon(stage: DetectorStage) -> list[Anomaly]:
    """What is raised in the seconds from two minutes before noon to one after, live."""
    told = stage.process([Record("series", 0, 0, "shop", KNOWN)], 0)
    for time_ms in range(NOON_MS - 2 * MINUTE_MS, NOON_MS + MINUTE_MS, 1000):
        tick = Samples.of("shop", "", time_ms, {REQUESTS.id: usual(time_ms, 2)})
        told = [*told, *stage.process([Record("samples", 0, time_ms, "shop", tick)], 0)]
    return [one.message for one in told if one.topic == "anomalies"]


def taught(days: int) -> DetectorStage:
    stage = DetectorStage({})
    stage.learn(KNOWN, history(days))
    stage.recalibrate()
    return stage


def test_what_comes_every_day_surprises_who_was_not_told_of_it_only() -> None:
    assert [anomaly.start_ms for anomaly in anomalies_around_noon(DetectorStage({}))] == [NOON_MS]
    assert anomalies_around_noon(taught(days=7)) == []


def test_teaching_says_nothing_and_outlives_a_restart() -> None:
    stage = DetectorStage({})
    stage.restore(taught(days=7).snapshot())
    assert anomalies_around_noon(stage) == []


def test_how_far_readings_scatter_is_learnt_anew_from_those_that_come() -> None:
    stage = taught(days=3)
    told = list(stage.process([Record("series", 0, 0, "shop", KNOWN)], 0))
    for second in range(40):
        time_ms = NOON_MS - 2 * MINUTE_MS + second * 1000
        noisy = 100.0 + 30.0 * float(np.random.default_rng(second).normal())
        told += stage.process(
            [Record("samples", 0, second, "shop", Samples.of("shop", "", time_ms, {REQUESTS.id: noisy}))], 0
        )
    assert [one.message for one in told if one.topic == "anomalies"] == []
    scores = [one.message for one in told if one.topic == "judgements"]
    assert scores, "25 readings are enough to judge by"
