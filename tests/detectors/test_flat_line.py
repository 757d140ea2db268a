"""A series that stops varying is told once; one that often or always stands still is not."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.flat_line import FlatLine
from detectors.fusion import Hysteresis
from detectors.panel import Batch
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Anomaly
from recwatch.core.signals import Float64, Samples, SeriesSet


def alarms(value: Float64, step_s: float = 1.0) -> list[tuple[int, int]]:
    """(reading, series) of each start; float64[readings, series]."""
    detector, fusion, row = FlatLine(), Hysteresis(methods=1), np.arange(value.shape[1])
    found = []
    for number, line in enumerate(value):
        time_ms = np.full(len(row), round(1000 * step_s * number))
        score = detector.update(Batch(row, time_ms, line, {})).score
        found += [(number, at) for at, _ in fusion.update(row, time_ms, score[:, None]).started]
    return found


@pytest.mark.parametrize("step_s", [1.0, 60.0])
def test_an_exporter_that_is_stuck_is_told_within_twenty_readings(step_s: float) -> None:
    value = 180.0 + 8.0 * np.random.default_rng(0).standard_normal((1000, 20))
    value[800:] = value[799]

    found = alarms(value, step_s)

    assert sorted(row for _, row in found) == list(range(20))
    assert all(800 < number <= 820 for number, _ in found)


def test_what_varies_or_never_does_is_not_told() -> None:
    rng = np.random.default_rng(1)
    seconds = 20_000
    mostly_zero = rng.choice([0.0, 1.0, 2.0], p=[0.9, 0.07, 0.03], size=(seconds, 10))
    counts = rng.poisson(110.0, (seconds, 10)).astype(np.float64)
    read_faster_than_measured = np.repeat(rng.standard_normal((seconds // 30 + 1, 10)), 30, axis=0)[:seconds]
    constant = np.full((seconds, 1), 1.41e9)

    assert alarms(np.concatenate((mostly_zero, counts, read_faster_than_measured, constant), axis=1)) == []


def test_a_line_that_stays_flat_is_the_new_normal_in_the_end() -> None:
    value = np.random.default_rng(2).standard_normal((10_000, 1))
    value[1000:] = 0.0
    detector, row = FlatLine(), np.zeros(1, dtype=np.int64)
    scores = [detector.update(Batch(row, np.array([1000 * n]), line, {})).score[0] for n, line in enumerate(value)]

    assert scores[1100] >= 1.0
    assert scores[-1] < 1.0


def test_a_stuck_exporter_of_a_host_is_told_by_default() -> None:
    memory = canonical_series("shop", "host_memory_available_bytes", {"host": "a"})
    stage = DetectorStage({})
    stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", (memory,)))], now_ms=0)
    gib = np.round(2.0**30 * (16.0 + 0.1 * np.random.default_rng(3).standard_normal(400)))
    gib[300:] = gib[299]
    ticks = (Samples.of("shop", "", 15_000 * number, {memory.id: value}) for number, value in enumerate(gib.tolist()))
    told = [out.message for tick in ticks for out in stage.process([Record("samples", 0, 0, "shop", tick)], now_ms=0)]
    (anomaly,) = [one for one in told if isinstance(one, Anomaly)]

    assert anomaly.method == "flat_line"
    assert 300 * 15_000 < anomaly.start_ms <= 310 * 15_000
    assert "(host a) has stood at exactly 15.9 GiB for longer than ever" in anomaly.reason
