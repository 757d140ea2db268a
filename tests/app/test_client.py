"""The client against the real API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recwatch.client import MOST_SERIES, Client
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Cause
from recwatch.core.objective import Objective
from recwatch.core.signals import SeriesSet
from tests.app.world import TOKEN, World
from tests.dashboards.story import ALL, SERVICE, proposal, surge_incident

NOW_MS = FakeClock().now_ms()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    client = Client(world.url, TOKEN)
    yield client
    client.close()


def test_events_come_back_as_the_words_they_were(client: Client) -> None:
    assert client.incidents(SERVICE) == (surge_incident(NOW_MS - 15_000),)
    assert client.incident("inc-1").cause is Cause.LOAD_SURGE
    assert client.proposals(state="proposed") == (proposal(NOW_MS - 10_000),)
    assert client.proposal("prop-1").to_value == 2
    assert [m.kind for m in client.marks(SERVICE)] == ["deploy"]
    assert [a.direction for a in client.anomalies(SERVICE)] == ["above"]


def test_numbers_come_back_as_columns(client: Client) -> None:
    series_id = str(ALL["queue_depth"].id)
    assert len(client.samples([series_id], NOW_MS - 10_000, NOW_MS)[series_id].value) == 10
    assert client.bands([series_id], NOW_MS - 10_000, NOW_MS)[series_id].expected == [3.0] * 10


def test_more_series_than_one_question_takes_are_asked_for_in_parts(world: World, client: Client) -> None:
    series = [canonical_series(SERVICE, "gpu_power_watts", {"gpu": str(number)}) for number in range(MOST_SERIES + 1)]
    world.live.take(SeriesSet(SERVICE, tuple(series)))
    ids = [str(one.id) for one in series]
    assert list(client.bands(ids, NOW_MS - 10_000, NOW_MS)) == ids
    assert list(client.samples(ids, NOW_MS - 10_000, NOW_MS)) == ids
    assert client.samples([], NOW_MS - 10_000, NOW_MS) == {}


def test_an_id_is_one_whatever_is_in_it(client: Client) -> None:
    with pytest.raises(BadInput, match=r"No incident has the id 'inc-1\?service=shop'"):
        client.incident("inc-1?service=shop")


def test_the_state_of_things(client: Client) -> None:
    (service,) = client.services()
    assert service.objective == Objective(0.1)
    assert {s.name for s in client.signals(SERVICE)} == set(ALL)
    assert client.holds()[0].service == SERVICE
    assert client.explain(SERVICE, "queue_depth").verdict == "evidence_only"
    assert client.silences() == ()


def test_what_people_say_is_published(world: World, client: Client) -> None:
    reader = world.bus.subscribe("reader", ("decisions", "marks", "silences"))
    said = [
        client.decide("prop-1", "reject", "ada", "too dear"),
        client.mark(SERVICE, "note", "sale begins", "ada"),
        client.silence(SERVICE, Cause.LOAD_SURGE, 60.0, "ada", "sale"),
    ]
    published = [record.message for record in reader.poll(0.0)]
    assert sorted(published, key=repr) == sorted(said, key=repr)


def test_a_refusal_is_bad_input_in_the_words_of_the_api(world: World, client: Client) -> None:
    with pytest.raises(BadInput, match="No proposal has the id 'nope'"):
        client.decide("nope", "approve", "ada", "")
    stranger = Client(world.url, "not the token")
    with pytest.raises(BadInput, match="Bearer TOKEN"):
        stranger.mark(SERVICE, "note", "x", "ada")
    stranger.close()


def test_an_api_that_is_not_there_is_unavailable_and_says_what_to_do() -> None:
    client = Client("http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="is 'recwatch up' running"):
        client.services()
    client.close()
