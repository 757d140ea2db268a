"""The API over a real live view and a real bus, asked over HTTP: events, and how it answers what it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recwatch.app.live import EVENTS_KEPT, LiveView
from recwatch.app.restart import prime
from recwatch.core.errors import Unavailable
from recwatch.core.events import Incident
from recwatch.core.proposals import Decision
from tests.app.world import NOW_MS, World
from tests.dashboards.story import ALL, SERVICE, proposal, surge_incident, verified


def test_events_merge_the_store_with_what_is_live(world: World) -> None:
    old = surge_incident(NOW_MS - 15_000)
    world.shelf.kept = [
        Incident(**{**{n: getattr(old, n) for n in old.__slots__}, "id": "inc-0", "start_ms": 5, "state": "resolved"}),
        Incident(**{**{n: getattr(old, n) for n in old.__slots__}, "state": "resolved"}),
    ]
    assert [i["id"] for i in world.ask("/api/incidents")] == ["inc-1"]
    merged = world.ask("/api/incidents", since_ms=0, service=SERVICE)
    assert [(i["id"], i["state"]) for i in merged] == [("inc-1", "open"), ("inc-0", "resolved")]
    assert world.ask("/api/incidents/inc-0")["start_ms"] == 5
    assert world.ask("/api/incidents", state="resolved") == []


def test_an_incident_carries_when_it_shifted_and_by_how_much(world: World) -> None:
    (shift,) = world.ask("/api/incidents/inc-1")["shifts"]
    assert shift.pop("text").startswith("p99 latency changed from 31 ms to ")
    assert shift == {"series": ALL["latency_p99_seconds"].key, "value": 0.198, "expected": 0.031}


@pytest.mark.parametrize("path", ["/api/anomalies", "/api/marks", "/api/silences", "/api/proposals"])
def test_lists_of_events_are_of_one_service_which_there_must_be(world: World, path: str) -> None:
    world.watched.append("other")
    assert world.ask(path, service="other") == []
    answer = world.http.get(path, params={"service": "shpo"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "No service is called 'shpo'; there are: other, shop.")


def test_events_of_a_service_that_is_watched_no_more_are_kept(world: World) -> None:
    world.watched.remove(SERVICE)
    assert [i["id"] for i in world.ask("/api/incidents", service=SERVICE)] == ["inc-1"]


def test_what_lasts_stays_in_memory_however_much_came_and_went_since(world: World) -> None:
    for number in range(EVENTS_KEPT + 10):
        over = replace(surge_incident(NOW_MS + number), id=f"later-{number}", state="resolved", end_ms=NOW_MS + number)
        world.live.take(over)
    kept = [incident.id for incident in world.live.events(Incident)]
    assert (len(kept), kept[0], kept[1]) == (EVENTS_KEPT, "inc-1", "later-11")
    assert world.service(SERVICE)["state"] == "incident"


def test_an_old_version_that_comes_again_is_not_taken_for_the_newest(world: World) -> None:
    old = proposal(NOW_MS - 10_000)
    world.live.take(verified(old, Decision.of(old, "approve", NOW_MS, "ada", "")))
    world.live.take(old)
    assert world.ask("/api/proposals/prop-1")["state"] == "verified"


def test_holds_explain_docs_and_health(world: World) -> None:
    assert world.ask("/api/holds")[0]["reason"] == "no incident is open"
    assert world.ask("/api/explain", service=SERVICE, series="queue_depth")["verdict"] == "evidence_only"
    assert world.ask("/healthz") == {"status": "ok"}
    page = world.http.get("/docs").text
    assert "/api/proposals/{proposal_id}/{verdict}" in page
    assert "<script" not in page


def test_who_is_not_ready_says_what_it_lacks(world: World) -> None:
    assert world.ask("/readyz") == {"status": "ready"}
    world.lacks.append("the bus cannot be reached")
    answer = world.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"detail": "the bus cannot be reached"})


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/signals?service=nope", 404, "there are: shop"),
        ("/api/incidents/nope", 404, "No incident has the id 'nope'"),
        ("/api/bands?series_id=7&start_ms=0&end_ms=1", 404, "No series has the id 7"),
        ("/api/samples?series_id=x&start_ms=0&end_ms=1", 422, "key 'series_id[0]' is 'x'; write a whole number, such as 5."),
        ("/api/samples?series_id=1&end_ms=1", 422, "In the query of the request, key 'start_ms' is missing. Add it."),
        ("/api/incidents?state=shut", 422, "key 'state' is 'shut'; write one of 'open' or 'resolved'."),
        ("/api/nothing", 404, "Not Found"),
    ],
)
def test_a_wrong_question_gets_one_sentence(world: World, path: str, status: int, words: str) -> None:
    answer = world.http.get(path)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_more_series_than_are_answered_at_once_are_refused_in_one_sentence(world: World) -> None:
    answer = world.http.get("/api/samples", params={"series_id": list(range(201)), "start_ms": 0, "end_ms": 1})
    assert answer.json()["detail"] == "In the query of the request, key 'series_id' is a list; write a list of at most 200."


def test_a_failing_store_is_unavailable_with_a_time_to_retry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Unavailable("The database does not answer.", retry_after_s=3.0)

    monkeypatch.setattr(world.shelf, "events", refuse)
    answer = world.http.get("/api/incidents?since_ms=0")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json() == {"detail": "The database does not answer."}


def test_a_restart_shows_what_the_store_kept(world: World) -> None:
    series = ALL["queue_depth"]
    world.shelf.known = [series]
    world.shelf.kept = [surge_incident(NOW_MS - 15_000)]
    world.shelf.rows[series.id] = (np.array([NOW_MS - 3000, NOW_MS - 2000]), np.array([1.0, 2.0]))
    fresh = LiveView()
    prime(fresh, world.shelf, {SERVICE}, NOW_MS)
    assert fresh.recent.values(SERVICE, "queue_depth").tolist() == [1.0, 2.0]
    assert [i.id for i in fresh.events(Incident)] == ["inc-1"]


def test_a_restart_shows_an_incident_that_is_open_although_a_thousand_began_after_it(world: World) -> None:
    opened = surge_incident(NOW_MS - 10_000_000)
    over = [
        replace(opened, id=f"over-{n}", state="resolved", start_ms=opened.start_ms + n, end_ms=NOW_MS - 1)
        for n in range(1, 1001)
    ]
    world.shelf.kept = [*reversed(over), opened]
    fresh = LiveView()
    prime(fresh, world.shelf, {SERVICE}, NOW_MS)
    shown = [incident.id for incident in fresh.events(Incident)]
    assert (shown[0], shown[-1], len(shown)) == (opened.id, "over-1000", 1000)
