"""What is said of the changes of a series' level, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from recwatch.app.level_changes import LONGEST, level_changes
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.wording import utc
from tests.app.world import World

NEWS = "news"
P99 = canonical_series(NEWS, "latency_p99_seconds")
KNOWN = SeriesSet(NEWS, (P99, canonical_series(NEWS, "latency_bucket_increments", {"le": "10"})))
NOW_MS = FakeClock().now_ms()
SHIFT_S, END_S = 400, 600
"""When the level changes, and when the readings end, counted from the first."""


def at(second: int) -> int:
    return NOW_MS + 1000 * (second - END_S)


def levels(lengths: Mapping[float, int]) -> list[float]:
    """So many readings of each level one after the other, in noise that leaves its median as it is."""
    level = np.repeat(list(lengths), list(lengths.values()))
    noise = np.random.default_rng(0).permuted(np.resize([0.95, 0.98, 1.0, 1.02, 1.05], (len(level) // 5, 5)), axis=1)
    return (level * noise.ravel()).tolist()  # type: ignore[no-any-return]


def told(world: World, readings: Iterable[tuple[int, float]]) -> list[str]:
    """What is said of changes after these readings: seconds from the first, and value."""
    world.watched.append(NEWS)
    world.live.take(KNOWN)
    for second, value in readings:
        world.live.take(Samples.of(NEWS, "", at(second), {P99.id: value}))
    answer = world.http.get("/api/explain", params={"service": NEWS, "series": P99.key})
    assert answer.status_code == 200, answer.text
    return [said for said in answer.json()["details"] if said.startswith("The level changed")]


def sentence(second: int, after: int, until: int, said: str) -> str:
    between = f"between {utc(at(after), '%H:%M:%S')} and {utc(at(until), '%H:%M:%S')}"
    return f"The level changed at {utc(at(second))} ({between}) from {said}."


def shifted(to: float) -> list[tuple[int, float]]:
    return list(enumerate(levels({0.018: SHIFT_S, to: END_S - SHIFT_S})))


def test_a_shift_is_dated_and_sized(world: World) -> None:
    assert told(world, shifted(0.586)) == [sentence(SHIFT_S, SHIFT_S - 1, SHIFT_S, "18 ms to 586 ms")]


def test_noise_is_no_change(world: World) -> None:
    assert told(world, enumerate(levels({0.018: END_S}))) == []


@pytest.mark.parametrize("lost", [None, float("nan"), float("inf")])
def test_readings_that_are_missing_widen_the_time_between(world: World, lost: float | None) -> None:
    gap = range(SHIFT_S - 30, SHIFT_S)
    readings = [(second, lost if second in gap else value) for second, value in shifted(0.586)]
    said = told(world, ((second, value) for second, value in readings if value is not None))
    assert said == [sentence(SHIFT_S, SHIFT_S - 31, SHIFT_S, "18 ms to 586 ms")]


def test_a_level_that_the_buckets_cannot_measure_is_a_lower_limit(world: World) -> None:
    said = told(world, [(second, min(value, 10.0)) for second, value in shifted(30.0)])
    assert said == [sentence(SHIFT_S, SHIFT_S - 1, SHIFT_S, "18 ms to at least 10 s")]


def test_the_last_three_changes_are_told_the_oldest_first(world: World) -> None:
    said = told(world, enumerate(levels(dict.fromkeys((0.018, 0.3, 0.02, 0.5, 0.03), END_S // 5))))
    assert [text.partition(" from ")[2] for text in said] == ["300 ms to 20 ms.", "20 ms to 500 ms.", "500 ms to 30 ms."]


def test_of_many_readings_means_are_dated_by_the_first_and_the_last_of_each() -> None:
    """Of three readings one mean; the first reading of the new level falls among two of the old one."""
    recent = Recent(span_s=1e6)
    recent.learn(KNOWN)
    for second, value in enumerate(levels({0.018: 2 * LONGEST, 0.586: LONGEST})):
        recent.append(Samples.of(NEWS, "", at(second), {P99.id: value}))
    (change,) = level_changes(P99, recent)
    assert change.said.startswith(sentence(2001, 1998, 2003, "18 ms to ").removesuffix("."))
