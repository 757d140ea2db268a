"""What runs out is told hours ahead, with the time left; what only goes up and down, or has stepped, is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from detectors.exhaustion import LIMIT, Exhaustion
from detectors.panel import Batch
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.events import Anomaly
from recwatch.core.signals import Float64, Samples, SeriesSet
from recwatch.core.stage import Outgoing

GIB = 2.0**30
HOUR_S = 3600
STEP_S = 30
MEMORY = canonical_series("shop", "host_memory_available_bytes")
GPU_MEMORY = canonical_series("shop", "gpu_memory_used_ratio", {"gpu": "0"})

Level = Callable[[Float64], Float64]


def told(level: Level, hours: float, seed: int = 0, noise_gib: float = 0.1) -> Iterator[tuple[int, list[Outgoing]]]:
    """What the stage says at each second of available memory, in GiB by the second, with noise that lasts for a minute."""
    stage = DetectorStage({})
    stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", (MEMORY,)))], now_ms=0)
    second = np.arange(0, round(hours * HOUR_S), STEP_S)
    noise = np.zeros(len(second))
    for place, shock in enumerate(np.random.default_rng(seed).standard_normal(len(second)), start=0):
        noise[place] = 0.7 * noise[place - 1] + 0.7 * shock
    available = np.maximum(level(second.astype(np.float64)) + noise_gib * noise, 0.0) * GIB
    for at, value in zip(second.tolist(), available.tolist(), strict=True):
        tick = Samples.of("shop", "", 1000 * at, {MEMORY.id: value})
        yield at, list(stage.process([Record("samples", 0, at, "shop", tick)], now_ms=0))


def exhaustions(outgoing: list[Outgoing]) -> list[Anomaly]:
    found = [out.message for out in outgoing if out.topic == "anomalies"]
    return [anomaly for anomaly in found if anomaly.method == "exhaustion" and anomaly.end_ms is None]


def leak(second: Float64) -> Float64:
    """12 GiB free, of which 3 GiB leak an hour from the end of the second hour on: none is left after six hours."""
    return 12.0 - 3.0 * np.maximum(second / HOUR_S - 2.0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_memory_leak_is_told_hours_before_the_memory_is_used_up(seed: int) -> None:
    found = [(at, anomaly) for at, outgoing in told(leak, 4.0, seed) for anomaly in exhaustions(outgoing)]

    ((at, anomaly),) = found
    assert 2 * HOUR_S < at < 3.25 * HOUR_S
    assert (anomaly.direction, anomaly.expected) == ("below", None)
    assert anomaly.reason.startswith("host memory available")
    assert " at 0 MiB in " in anomaly.reason


def test_the_time_left_is_published_with_an_interval_that_holds() -> None:
    ids = [derived_series(f"recwatch_exhaustion_seconds{end}", MEMORY, "exhaustion").id for end in ("_lower", "", "_upper")]
    held = []
    for at, outgoing in told(leak, 4.5):
        for out in outgoing:
            if out.topic == "judgements":
                said = dict(zip(out.message.series_id.tolist(), out.message.value.tolist(), strict=True))
                if ids[1] in said and at > 3.25 * HOUR_S:
                    lower, middle, upper = (said[one] for one in ids)
                    held.append(lower <= 6 * HOUR_S - at <= upper)
                    assert middle == pytest.approx(6 * HOUR_S - at, rel=0.15)

    assert len(held) > 100
    assert np.mean(held) > 0.8


@pytest.mark.parametrize(
    "level",
    [
        lambda second: 12.0 + 0.0 * second,
        lambda second: 8.0 + 4.0 * np.cos(2.0 * np.pi * second / (24 * HOUR_S)),
        lambda second: np.where(second < 3 * HOUR_S, 12.0, 4.0),
        lambda second: 6.0 + 2.0 * ((second // 600) % 2),
    ],
    ids=["steady", "day and night", "a step", "a cache that fills and empties"],
)
def test_what_does_not_run_out_is_no_exhaustion(level: Level) -> None:
    assert [anomaly.reason for _, outgoing in told(level, 14.0) for anomaly in exhaustions(outgoing)] == []


def test_a_slow_leak_is_no_alarm_yet() -> None:
    found = [one for _, outgoing in told(lambda second: 12.0 - second / HOUR_S / 4.0, 12.0) for one in exhaustions(outgoing)]

    assert found == []


def test_a_share_runs_out_at_one() -> None:
    detector, row = Exhaustion(within_h=2.0), np.zeros(1, dtype=np.int64)
    noise = np.random.default_rng(0).standard_normal(90)
    for minute in range(90):
        used = np.array([0.30 + 0.005 * minute + 0.002 * noise[minute]])
        judgement = detector.update(Batch(row, np.array([60_000 * minute]), used, {LIMIT: np.ones(1)}))

    left_s = detector.foresight(row)[0]
    assert left_s[0] == pytest.approx(60.0 * (1.0 - 0.745) / 0.005, rel=0.1)
    assert left_s[1] < left_s[0] < left_s[2] < 7200.0
    assert judgement.score[0] == pytest.approx(7200.0 / left_s[2])


def test_after_a_long_gap_the_trend_begins_anew() -> None:
    detector, row = Exhaustion(), np.zeros(1, dtype=np.int64)
    for minute in [*range(70), *range(300, 310)]:
        beside = {LIMIT: np.zeros(1)}
        judgement = detector.update(Batch(row, np.array([60_000 * minute]), np.array([1000.0 - 10.0 * minute]), beside))

    assert np.isnan(judgement.score[0])
    assert np.isnan(detector.foresight(row)).all()
    assert detector.warmup_ratio(row)[0] < 0.2


def test_a_signal_that_is_only_watched_for_running_out_has_no_band() -> None:
    (told,) = DetectorStage({}).process([Record("series", 0, 0, "shop", SeriesSet("shop", (GPU_MEMORY,)))], now_ms=0)

    assert {series.name for series in told.message.series} == {
        "recwatch_score",
        "recwatch_warmup_ratio",
        "recwatch_exhaustion_seconds",
        "recwatch_exhaustion_seconds_lower",
        "recwatch_exhaustion_seconds_upper",
    }
