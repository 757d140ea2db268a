"""What a look back tells of an incident, through the real stages: when the shift was, and two versions compared."""

from __future__ import annotations

import re
from functools import cache
from math import log

import numpy as np
import pytest

from recwatch.core.canonical import canonical_series
from recwatch.core.events import Cause
from tests.app.test_story_scenarios import SURGE_RPS, Story
from tests.simulated_service import SERVICE, SimulatedService

SLOWNESS = 1.6
"""Of the second version."""


def times_as_high(story: Story) -> tuple[float, float]:
    """The interval that is told of the deploy."""
    (said,) = (shift.text for shift in story.incident.shifts if shift.text.startswith("since deploy"))
    found = re.fullmatch(
        r"since deploy model v1 → v2 mean latency is [\d.]+ times as high at equal load \(([\d.]+) to ([\d.]+)\)", said
    )
    assert found is not None, said
    return float(found[1]), float(found[2])


def slow_version(seed: int) -> Story:
    """A story in which a minute has passed since a version came that is slower but keeps up."""
    story = Story(seed)
    story.service.slowness = {"v1": 1.0, "v2": SLOWNESS}
    story.run(120)
    story.break_with(version="v2")
    story.run(60)
    return story


@cache
def true_ratio() -> float:
    """Of geometric means of mean latency over ten minutes of either version."""
    logs = []
    for slowness in (1.0, SLOWNESS):
        service = SimulatedService(seed=9, slowness={"v1": slowness})
        readings = [service.tick(1000 * second) for second in range(600)]
        logs.append([log(reading[canonical_series(SERVICE, "latency_mean_seconds")]) for reading in readings])
    return float(np.exp(np.mean(logs[1]) - np.mean(logs[0])))


@pytest.mark.parametrize("seed", range(3))
def test_the_incident_of_a_slow_version_tells_when_it_shifted_and_by_how_much_at_equal_load(seed: int) -> None:
    story = slow_version(seed)
    dated, _ = story.incident.shifts
    assert story.incident.cause is Cause.SLOW_VERSION
    assert re.search(r"latency changed at .* UTC \(between .*\) from [\d.]+ ms to [\d.]+ ms$", dated.text)
    assert dated.value is not None
    assert dated.expected is not None
    assert dated.value > 1.5 * dated.expected
    low, high = times_as_high(story)
    assert low < true_ratio() < high < 1.5 * low


def test_what_was_told_stays_while_the_service_recovers_and_is_in_the_message_of_the_end() -> None:
    story = slow_version(seed=0)
    before = story.incident.shifts
    story.service.version = "v1"
    story.run(90)
    assert story.incident.state == "resolved"
    assert story.incident.shifts == before
    message = story.inbox.messages[-1]
    assert message.occasion == "resolved"
    assert all(shift.text in message.text for shift in before)


def test_a_surge_is_dated_and_no_version_compared() -> None:
    story = Story()
    story.break_with(load_rps=SURGE_RPS)
    story.run(30)
    (dated,) = story.incident.shifts
    assert story.incident.cause is Cause.LOAD_SURGE
    assert dated.series in {anomaly.series for anomaly in story.incident.anomalies}
