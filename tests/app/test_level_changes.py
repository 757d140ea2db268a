"""What `explain` says of the changes of a series' level, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.wording import utc
from tests.app.world import World

NEWS = "news"
P99 = canonical_series(NEWS, "latency_p99_seconds")
NOW_MS = FakeClock().now_ms()
SHIFT_S, END_S = 400, 600
"""When the level changes, and when the readings end, counted from the first."""


def at(second: float) -> int:
    return NOW_MS + round(1000 * (second - END_S))


def noise(rows: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 1.0 + 0.05 * np.random.default_rng(0).standard_normal(rows)


def told(world: World, readings: Iterable[tuple[float, float]]) -> list[str]:
    """What is said of changes after these readings: seconds from the first, and value."""
    world.watched.append(NEWS)
    world.live.take(SeriesSet(NEWS, (P99, *(canonical_series(NEWS, "latency_bucket_increments", {"le": "10"}),))))
    for second, value in readings:
        world.live.take(Samples.of(NEWS, "", at(second), {P99.id: value}))
    answer = world.http.get("/api/explain", params={"service": NEWS, "series": P99.key})
    assert answer.status_code == 200, answer.text
    return [said for said in answer.json()["details"] if said.startswith("The level changed")]


def shifted(to: float) -> list[tuple[float, float]]:
    levels = np.repeat([0.018, to], [SHIFT_S, END_S - SHIFT_S])
    return list(enumerate((levels * noise(END_S)).tolist()))


def sentence(after: int, until: int, levels: str) -> str:
    between = f"between {utc(at(after), '%H:%M:%S')} and {utc(at(until), '%H:%M:%S')}"
    return f"The level changed at {utc(at(SHIFT_S))} ({between}) from {levels}."


def test_a_shift_is_dated_and_sized(world: World) -> None:
    assert told(world, shifted(0.586)) == [sentence(SHIFT_S - 1, SHIFT_S, "18 ms to 587 ms")]


def test_noise_is_no_change(world: World) -> None:
    assert told(world, shifted(0.018)) == []


@pytest.mark.parametrize("lost", [None, float("nan"), float("inf")])
def test_readings_that_are_missing_widen_the_time_between(world: World, lost: float | None) -> None:
    gap = range(SHIFT_S - 30, SHIFT_S)
    readings = [(second, lost if second in gap else value) for second, value in shifted(0.586)]
    assert told(world, ((second, value) for second, value in readings if value is not None)) == [
        sentence(SHIFT_S - 31, SHIFT_S, "18 ms to 587 ms")
    ]


def test_a_level_that_the_buckets_cannot_measure_is_a_lower_limit(world: World) -> None:
    readings = [(second, min(value, 10.0)) for second, value in shifted(30.0)]
    assert told(world, readings) == [sentence(SHIFT_S - 1, SHIFT_S, "18 ms to at least 10 s")]


def test_many_readings_are_thinned_and_dated_no_more_finely(world: World) -> None:
    """At 5 Hz three are one, and the last of the old level lies in one with the first of the new."""
    levels = np.repeat([0.018, 0.586], [5 * SHIFT_S + 1, 5 * (END_S - SHIFT_S) - 1])
    readings = [(row / 5, value) for row, value in enumerate((levels * noise(5 * END_S)).tolist())]
    assert told(world, readings) == []


def test_the_last_three_changes_are_told_the_oldest_first(world: World) -> None:
    levels = np.repeat([0.018, 0.3, 0.02, 0.5, 0.03], END_S // 5) * noise(END_S)
    said = told(world, enumerate(levels.tolist()))
    assert [text.partition(" from ")[2] for text in said] == ["301 ms to 20 ms", "20 ms to 500 ms", "500 ms to 30 ms"]
