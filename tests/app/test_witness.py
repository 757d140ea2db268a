"""What the demo's story reads off the real API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from math import inf

import pytest

from recwatch.app.witness import Witness
from recwatch.client import Client
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.signals import Samples, SeriesSet
from tests.app.world import World
from tests.dashboards.story import SERVICE, proposal, surge_incident

NOW_MS = FakeClock().now_ms()
LE = (0.05, 0.25, inf)


@pytest.fixture
def world() -> Iterator[World]:
    """Its latency is at most 50 ms until 20 s ago, from then on at most 250 ms, and the last 10 s 50 ms again."""
    with World(FakeClock()) as world:
        buckets = [
            canonical_series(SERVICE, "latency_bucket_increments", {"le": "+Inf" if le == inf else str(le)}) for le in LE
        ]
        world.live.take(SeriesSet(SERVICE, tuple(buckets)))
        for second in range(-60, 1):
            most_s = 0.25 if -20 < second <= -10 else 0.05
            counts = {bucket.id: 100.0 * (le >= most_s) for bucket, le in zip(buckets, LE, strict=True)}
            world.live.take(Samples.of(SERVICE, "", NOW_MS + 1000 * second, counts))
        yield world


@pytest.fixture
def witness(world: World) -> Iterator[Witness]:
    with closing(Client(world.url)) as client:
        yield Witness(client, SERVICE)


def test_the_pulse_is_that_of_the_whole_service(witness: Witness) -> None:
    rate, p99 = witness.pulse().split(", ")
    assert rate.endswith(" requests/s")
    assert p99.startswith("p99 ")
    assert 450 < float(rate.split()[0]) < 700
    assert 150 < float(p99.split()[1]) < 250


def test_latencies_are_those_of_all_requests_of_their_time(witness: Witness) -> None:
    times_ms = (NOW_MS - 60_000, NOW_MS - 20_000, NOW_MS - 10_000)
    found = witness.latencies(times_ms, NOW_MS, recovered=True)
    assert found.before == found.after == pytest.approx(50, rel=0.02)
    assert found.fault == pytest.approx(250, rel=0.02)
    assert witness.latencies(times_ms, NOW_MS, recovered=False).after is None


def test_a_service_without_traffic_has_no_latency(witness: Witness) -> None:
    found = witness.latencies((0.0, 1000.0, 2000.0), 3000, recovered=False)
    assert (found.before, found.fault, found.after) == (None, None, None)


def test_incidents_and_proposals_are_found(witness: Witness) -> None:
    incident = surge_incident(NOW_MS - 15_000)
    assert witness.open_incident() == incident
    assert witness.incident_at_hand(NOW_MS) == incident
    assert witness.newest_proposal(incident.id) == proposal(NOW_MS - 10_000)
    assert witness.newest_proposal("another") is None
    assert witness.warm()
