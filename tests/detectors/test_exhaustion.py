"""What runs out is told hours ahead, with the time left; what goes up and down, comes back, or has stepped, is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from detectors.exhaustion import LIMIT, Exhaustion
from detectors.panel import Batch
from detectors.stage import DetectorStage
from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.events import Anomaly
from recwatch.core.signals import Float64, Samples, Series, SeriesSet

GIB = 2.0**30
HOUR_S = 3600
STEP_S = 30
MEMORY = canonical_series("shop", "host_memory_available_bytes")
DISK = canonical_series("shop", "host_filesystem_available_bytes", {"mountpoint": "/data"})
GPU_MEMORY = canonical_series("shop", "gpu_memory_used_ratio", {"gpu": "0"})

Level = Callable[[Float64], Float64]


def told(
    level: Level, hours: float, seed: int = 0, noise_gib: float = 0.1, series: Series = MEMORY
) -> Iterator[tuple[int, list[Outgoing]]]:
    """What the stage says at each second of what is left, in GiB by the second, with noise that lasts for a minute."""
    stage = DetectorStage({})
    stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", (series,)))], now_ms=0)
    second = np.arange(0, round(hours * HOUR_S), STEP_S)
    noise = np.zeros(len(second))
    for place, shock in enumerate(np.random.default_rng(seed).standard_normal(len(second)), start=0):
        noise[place] = 0.7 * noise[place - 1] + 0.7 * shock
    available = np.maximum(level(second.astype(np.float64)) + noise_gib * noise, 0.0) * GIB
    for at, value in zip(second.tolist(), available.tolist(), strict=True):
        tick = Samples.of("shop", "", 1000 * at, {series.id: value})
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


def starts(*left_gib: Float64) -> list[list[float]]:
    """Of each disk the hours at which the time left begins to be an alarm, from a reading a minute of what is left."""
    detector, row = Exhaustion(), np.arange(len(left_gib))
    over = [np.zeros(len(row), dtype=np.int64)]
    for minute, gib in enumerate(np.maximum(left_gib, 0.0).T):
        reading = Batch(row, np.full(len(row), 60_000 * minute), gib, {LIMIT: np.zeros(len(row))})
        over.append((detector.update(reading).score >= 1.0).astype(np.int64))
    return [[minute / 60.0 for minute in np.flatnonzero(changes == 1).tolist()] for changes in np.diff(over, axis=0).T]


def hour(hours: float) -> Float64:
    return np.arange(round(60 * hours)) / 60.0


def rotated(hours: float, every_h: float, low_gib: float, written_gib: float) -> Float64:
    """What is left of a disk whose log takes `written_gib` until it is rotated away."""
    return low_gib + written_gib * (1.0 - hour(hours) % every_h / every_h)


def test_a_disk_that_fills_is_told_in_one_sentence_hours_before_it_is_full() -> None:
    def fills(second: Float64) -> Float64:
        return 100.0 - 25.0 * np.maximum(second / HOUR_S - 2.0, 0.0)

    ((at, anomaly),) = (
        (at, one) for at, outgoing in told(fills, 3.5, noise_gib=0.0, series=DISK) for one in exhaustions(outgoing)
    )

    assert 2.5 * HOUR_S < at < 3.0 * HOUR_S
    assert (anomaly.direction, anomaly.expected) == ("below", None)
    assert anomaly.reason == (
        "disk space available (mountpoint /data) 80.6 GiB, falling by 24.9 GiB an hour: "
        "at 0 MiB in 3 h 14 min (3 h 14 min to 3 h 26 min) if its trend goes on"
    )


def test_a_disk_that_is_full_stays_told_until_there_is_space_again_and_may_fill_once_more() -> None:
    fills = 50.0 - 25.0 * np.maximum(hour(12) - 2.0, 0.0)
    cleaned = 50.0 - 25.0 * np.maximum(hour(5) - 2.0, 0.0)

    ((first, second),) = starts(np.concatenate([fills, cleaned]))

    assert 2.5 < first < 3.0
    assert 14.5 < second < 15.0


def test_a_trend_in_much_noise_is_one_event() -> None:
    noise = np.convolve(np.random.default_rng(1).standard_normal(60 * 9), 0.3 * 0.7 ** np.arange(20), "same")
    leaks = 12.0 - 3.0 * np.maximum(hour(9) - 5.0, 0.0) + noise

    ((first, *again),) = starts(leaks)

    assert 5.5 < first < 7.0
    assert len(again) <= 1


def test_a_trend_that_may_end_is_told_with_the_soonest_alone() -> None:
    found = [
        a for _, outgoing in told(lambda s: 12.0 - 1.5 * s / HOUR_S, 8.0, 1, noise_gib=0.6) for a in exhaustions(outgoing)
    ]

    assert found[-1].reason.endswith("at 0 MiB in 3 h 21 min (1 h 20 min or longer) if its trend goes on")


def test_a_log_that_is_rotated_is_told_once_at_most() -> None:
    """Whether the first fall ends in time nobody can know: each of these would fill the disk in less than four hours."""
    every_h = (1 / 3, 0.9, 7 / 6, 3.0, 24.0)

    found = starts(*(rotated(72.0, each, low_gib=10.0, written_gib=8.0 * each) for each in every_h))

    assert found[:2] == [[], []]
    assert [len(of_one) for of_one in found[2:]] == [1, 1, 1]
    assert all(at < each for (at,), each in zip(found[2:], every_h[2:], strict=True))


def test_a_rotation_that_fails_is_told_as_soon_as_less_is_left_than_ever() -> None:
    before = rotated(30.0, 3.0, low_gib=20.0, written_gib=30.0)
    fails = 50.0 - 10.0 * hour(5.0)

    ((*_, last),) = starts(np.concatenate([before, fails]))

    assert 33.0 < last < 33.4


@pytest.mark.parametrize("log_gib_per_h", [0.0, 0.06])
def test_one_large_file_is_no_trend(log_gib_per_h: float) -> None:
    """Copied at once, in five minutes and in twenty, whether or not a log grows beside it."""
    copied = (100.0 * np.clip((60.0 * hour(6.0) - 150.0) / minutes, 0.0, 1.0) for minutes in (0.1, 5.0, 20.0))

    assert starts(*(200.0 - log_gib_per_h * hour(6.0) - file for file in copied)) == [[], [], []]


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
