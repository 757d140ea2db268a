"""The API over a real live view and a real bus, asked over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collectors.intervals import BEHIND_MS
from recwatch.app.live import EVENTS_KEPT, LiveView
from recwatch.app.measured import SCRAPES
from recwatch.app.restart import prime
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.clock import FakeClock
from recwatch.core.errors import Unavailable
from recwatch.core.events import Incident, Silence
from recwatch.core.objective import Objective
from recwatch.core.progress import OWN
from recwatch.core.proposals import Decision
from recwatch.core.signals import Samples, Series, SeriesSet
from tests.app.world import AUTH, World
from tests.dashboards.story import ALL, SERVICE, proposal, surge_incident, verified

NOW_MS = FakeClock().now_ms()


def ask(world: World, path: str, **query: Any) -> Any:
    answer = world.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_service_shows_its_target_its_objective_and_its_open_incident(world: World) -> None:
    (service,) = ask(world, "/api/services")
    assert service["name"] == SERVICE
    assert service["open_incidents"] == 1
    assert service["targets"][0]["error"] == "refused"
    assert service["objective"]["latency_p99_seconds"] == 0.1
    assert service["last_ms"] == service["traffic_ms"] == NOW_MS - 1000
    assert service["state"] == "incident"
    assert service["signals"] == len(ALL)


def state_of(world: World, service: str) -> str:
    (found,) = (s for s in ask(world, "/api/services") if s["name"] == service)
    return str(found["state"])


def test_a_service_is_healthy_only_while_its_traffic_is_heard_of_and_judged(world: World, clock: FakeClock) -> None:
    world.watched.append("news")
    rate, up = canonical_series("news", "requests_per_second"), canonical_series("news", "targets_up_ratio")
    score, warmup = derived_series("recwatch_score", rate, "band"), derived_series("recwatch_warmup_ratio", rate, "band")
    world.live.take(SeriesSet("news", (rate, up, score, warmup)))
    assert state_of(world, "news") == "stale"
    for second, done in ((4, 0.5), (3, 1.0)):
        world.live.take(Samples.of("news", "", NOW_MS - 1000 * second, {rate.id: 9.0, up.id: 1.0, warmup.id: done}))
        assert state_of(world, "news") == "warming_up"
    world.live.take(Samples.of("news", "", NOW_MS - 3000, {score.id: 0.1}))
    assert state_of(world, "news") == "healthy"
    clock.advance(5.0)
    world.live.take(Samples.of("news", "", NOW_MS + 5000, {up.id: 0.0}))
    assert state_of(world, "news") == "stale"


def test_an_objective_that_nothing_measures_is_never_shown_as_kept(world: World) -> None:
    up = canonical_series("news", "targets_up_ratio")
    score = derived_series("recwatch_score", up, "floor")
    world.watched.append("news")
    world.view.objectives["news"] = Objective(0.1)  # type: ignore[index]  # a dict in this world
    world.live.take(SeriesSet("news", (up, score)))
    for second in range(SCRAPES):
        world.live.take(Samples.of("news", "", NOW_MS - 40_000 + 1000 * second, {up.id: 1.0, score.id: 0.0}))
    assert state_of(world, "news") == "unmeasured"
    (news,) = (s for s in ask(world, "/api/services") if s["name"] == "news")
    assert set(news["unmeasured"]) == {"latency_p99_seconds", "errors_ratio"}
    text = world.http.get("/metrics").text
    assert 'recwatch_objective_unmeasured{service="news",signal="errors_ratio"} 1.0' in text
    assert 'recwatch_objective_unmeasured{service="shop",signal="errors_ratio"} 0.0' in text


def test_signals_carry_ids_as_text_with_their_newest_value_and_score(world: World) -> None:
    signals = {s["name"]: s for s in ask(world, "/api/signals", service=SERVICE)}
    depth = signals["queue_depth"]
    assert depth["series_id"] == str(ALL["queue_depth"].id)
    assert depth["last_value"] > 50
    assert depth["score"] > 1
    assert signals["latency_p99_seconds"]["user_facing"]
    assert signals["cache_hit_ratio"]["score"] < 1


def test_samples_of_the_last_minutes_do_not_ask_the_store(world: World) -> None:
    series_id = str(ALL["queue_depth"].id)
    columns = ask(world, "/api/samples", series_id=series_id, start_ms=NOW_MS - 30_000, end_ms=NOW_MS)[series_id]
    assert columns["time_ms"] == list(range(NOW_MS - 30_000, NOW_MS, 1000))
    assert len(columns["value"]) == 30
    assert world.shelf.reads == 0


def test_older_samples_come_from_the_store_and_meet_the_live_tail_without_a_seam(world: World) -> None:
    series_id = ALL["queue_depth"].id
    times = np.arange(NOW_MS - 2_000_000, NOW_MS - 55_000, 1000)
    world.shelf.rows[series_id] = (times, np.zeros(len(times)))
    found = ask(world, "/api/samples", series_id=str(series_id), start_ms=NOW_MS - 1_500_000, end_ms=NOW_MS)
    columns = found[str(series_id)]
    assert columns["time_ms"] == list(range(NOW_MS - 1_500_000, NOW_MS, 1000))
    assert columns["value"][-60] == 0
    assert columns["value"][-59] > 0


def test_bands_of_a_single_targets_series_come_from_the_store(world: World) -> None:
    raw = Series("up", {"service": SERVICE}, "", "gauge", SERVICE, "http://127.0.0.1:9/metrics")
    world.live.take(SeriesSet(SERVICE, (raw,)))
    world.shelf.known = [raw]
    world.shelf.rows[raw.id] = (np.array([NOW_MS - 2000]), np.array([1.0]))
    found = ask(world, "/api/bands", series_id=str(raw.id), start_ms=NOW_MS - 10_000, end_ms=NOW_MS)
    assert found[str(raw.id)]["value"] == [1.0]


def test_steps_are_means_stamped_with_their_start(world: World) -> None:
    series = ALL["replicas"]
    found = ask(world, "/api/samples", series_id=str(series.id), start_ms=NOW_MS - 40_000, end_ms=NOW_MS, step_s=10)
    assert found[str(series.id)]["time_ms"] == [NOW_MS - ago for ago in (40_000, 30_000, 20_000, 10_000)]
    assert found[str(series.id)]["value"] == [1.0] * 4


def test_longer_steps_are_whole_minutes_in_memory_as_in_the_store(world: World) -> None:
    series = ALL["replicas"]
    found = ask(world, "/api/samples", series_id=str(series.id), start_ms=NOW_MS - 40_000, end_ms=NOW_MS, step_s=90)
    assert {time_ms % 120_000 for time_ms in found[str(series.id)]["time_ms"]} == {0}


def test_what_would_fill_the_memory_is_refused(world: World) -> None:
    day: dict[str, Any] = {"series_id": list(range(10)), "start_ms": NOW_MS - 86_400_000, "end_ms": NOW_MS}
    for path in ("/api/samples", "/api/bands"):
        answer = world.http.get(path, params=day)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(
            "10 series over 24 h have too many readings for one answer; ask for fewer, "
        )
    assert world.shelf.reads == 0
    assert world.http.get("/api/samples", params=day | {"step_s": 60}).status_code == 200


def test_bands_align_judgements_with_readings(world: World) -> None:
    series_id = str(ALL["queue_depth"].id)
    bands = ask(world, "/api/bands", series_id=series_id, start_ms=NOW_MS - 10_000, end_ms=NOW_MS)[series_id]
    assert bands["expected"] == [3.0] * 10
    assert bands["upper"] == [7.0] * 10
    assert min(bands["score"]) > 1


def test_bands_are_null_where_no_detector_spoke(world: World) -> None:
    fresh = Series("queue_depth", {"service": "new"}, "requests", "gauge", "new")
    world.live.take(SeriesSet("new", (fresh,)))
    world.live.take(Samples.of("new", "", NOW_MS - 1000, {fresh.id: 2.0}))
    bands = ask(world, "/api/bands", series_id=str(fresh.id), start_ms=NOW_MS - 10_000, end_ms=NOW_MS)[str(fresh.id)]
    assert bands == {
        "time_ms": [NOW_MS - 1000],
        "value": [2.0],
        "expected": [None],
        "lower": [None],
        "upper": [None],
        "score": [None],
    }


def test_events_merge_the_store_with_what_is_live(world: World) -> None:
    old = surge_incident(NOW_MS - 15_000)
    world.shelf.kept = [
        Incident(**{**{n: getattr(old, n) for n in old.__slots__}, "id": "inc-0", "start_ms": 5, "state": "resolved"}),
        Incident(**{**{n: getattr(old, n) for n in old.__slots__}, "state": "resolved"}),
    ]
    assert [i["id"] for i in ask(world, "/api/incidents")] == ["inc-1"]
    merged = ask(world, "/api/incidents", since_ms=0, service=SERVICE)
    assert [(i["id"], i["state"]) for i in merged] == [("inc-1", "open"), ("inc-0", "resolved")]
    assert ask(world, "/api/incidents/inc-0")["start_ms"] == 5
    assert ask(world, "/api/incidents", state="resolved") == []


def test_an_incident_carries_when_it_shifted_and_by_how_much(world: World) -> None:
    (shift,) = ask(world, "/api/incidents/inc-1")["shifts"]
    assert shift.pop("text").startswith("p99 latency changed from 31 ms to ")
    assert shift == {"series": ALL["latency_p99_seconds"].key, "value": 0.198, "expected": 0.031}


@pytest.mark.parametrize("path", ["/api/anomalies", "/api/marks", "/api/silences", "/api/proposals"])
def test_lists_of_events_are_of_one_service_which_there_must_be(world: World, path: str) -> None:
    world.watched.append("other")
    assert ask(world, path, service="other") == []
    answer = world.http.get(path, params={"service": "shpo"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "No service is called 'shpo'; there are: other, shop.")


def test_events_of_a_service_that_is_watched_no_more_are_kept(world: World) -> None:
    world.watched.remove(SERVICE)
    assert [i["id"] for i in ask(world, "/api/incidents", service=SERVICE)] == ["inc-1"]


def test_what_lasts_stays_in_memory_however_much_came_and_went_since(world: World) -> None:
    for number in range(EVENTS_KEPT + 10):
        over = replace(surge_incident(NOW_MS + number), id=f"later-{number}", state="resolved", end_ms=NOW_MS + number)
        world.live.take(over)
    kept = [incident.id for incident in world.live.events(Incident)]
    assert (len(kept), kept[0], kept[1]) == (EVENTS_KEPT, "inc-1", "later-11")
    assert state_of(world, SERVICE) == "incident"


def test_an_old_version_that_comes_again_is_not_taken_for_the_newest(world: World) -> None:
    old = proposal(NOW_MS - 10_000)
    world.live.take(verified(old, Decision.of(old, "approve", NOW_MS, "ada", "")))
    world.live.take(old)
    assert ask(world, "/api/proposals/prop-1")["state"] == "verified"


def test_holds_explain_docs_and_health(world: World) -> None:
    assert ask(world, "/api/holds")[0]["reason"] == "no incident is open"
    assert ask(world, "/api/explain", service=SERVICE, series="queue_depth")["verdict"] == "evidence_only"
    assert ask(world, "/healthz") == {"status": "ok"}
    page = world.http.get("/docs").text
    assert "/api/proposals/{proposal_id}/{verdict}" in page
    assert "<script" not in page


def test_targets_of_which_nobody_tells_any_more_are_unknown(world: World, clock: FakeClock) -> None:
    (shop,) = ask(world, "/api/services")
    assert [(t["up"], t["error"]) for t in shop["targets"]] == [(False, "refused")]
    clock.advance(31.0)
    (shop,) = ask(world, "/api/services")
    assert [(t["up"], t["error"][:36]) for t in shop["targets"]] == [(None, "no collector has told of it since 20")]
    assert "recwatch_target_up{" not in world.http.get("/metrics").text


def test_recwatch_is_a_service_while_it_has_an_incident(world: World) -> None:
    assert [s["name"] for s in ask(world, "/api/services")] == [SERVICE]
    world.live.take(replace(surge_incident(NOW_MS), id="own", service=OWN))
    own, shop = ask(world, "/api/services")
    assert (own["name"], own["state"], shop["name"]) == (OWN, "incident", SERVICE)
    answer = world.http.post("/api/silences", json={"service": OWN, "duration_s": 60, "by": "ada"}, headers=AUTH)
    assert answer.status_code == 202


def test_who_is_not_ready_says_what_it_lacks(world: World) -> None:
    assert ask(world, "/readyz") == {"status": "ready"}
    world.lacks.append("the bus cannot be reached")
    answer = world.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"detail": "the bus cannot be reached"})


def test_an_approval_is_published_and_changes_nothing_else(world: World) -> None:
    subscription = world.bus.subscribe("tuning", ("decisions",))
    answer = world.http.post("/api/proposals/prop-1/approve", json={"by": "ada", "why": "looks right"}, headers=AUTH)
    assert answer.status_code == 202
    (record,) = subscription.poll(0.0)
    assert isinstance(record.message, Decision)
    assert (record.key, record.message.verdict, record.message.by) == (SERVICE, "approve", "ada")
    assert ask(world, "/api/proposals/prop-1")["state"] == "proposed"


def test_a_proposal_that_is_done_cannot_be_decided_again(world: World) -> None:
    decision = Decision.of(proposal(NOW_MS), "approve", NOW_MS, "ada", "")
    world.live.take(verified(proposal(NOW_MS - 10_000), decision))
    answer = world.http.post("/api/proposals/prop-1/reject", json={"by": "ada"}, headers=AUTH)
    assert answer.status_code == 409
    assert "is verified" in answer.json()["detail"]


def test_marks_and_silences_are_published(world: World) -> None:
    subscription = world.bus.subscribe("reader", ("marks", "silences"))
    mark = {"service": SERVICE, "kind": "deploy", "text": "ranker 3", "by": "ci"}
    silence = {"service": SERVICE, "cause": "load_surge", "duration_s": 60, "by": "ada", "why": "sale"}
    assert world.http.post("/api/marks", json=mark, headers=AUTH).json()["time_ms"] == NOW_MS
    assert world.http.post("/api/silences", json=silence, headers=AUTH).json()["end_ms"] == NOW_MS + 60_000
    assert [r.topic for r in sorted(subscription.poll(0.0), key=lambda r: r.topic)] == ["marks", "silences"]


def test_a_silence_that_is_over_cannot_be_ended(world: World) -> None:
    world.live.take(Silence("s-1", SERVICE, None, NOW_MS - 9, NOW_MS, "ada", ""))
    answer = world.http.post("/api/silences/s-1/end", json={"by": "ada"}, headers=AUTH)
    assert (answer.status_code, answer.json()["detail"]) == (409, "Silence s-1 is over already.")


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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"by": 7}', "key 'by' is 7; write text, such as shop, in quotes where it looks like a number"),
        (b'{"by": ""}', "key 'by' is ''; write text that is not empty"),
        (b'{"by": "ada", "who": 1}', "unknown key 'who'. Did you mean 'why'? Valid keys there: by, why"),
        (b"{}", "key 'by' is missing. Add it"),
        (b"[]", "it is a list; write keys with their values below it, of by, why"),
        (b'{"by": ', "it is no JSON: Expecting value"),
        (b"", "it is missing. Add it"),
    ],
)
def test_a_body_that_cannot_be_used_is_answered_in_the_words_of_a_configuration(
    world: World, body: bytes, said: str
) -> None:
    headers = AUTH | {"Content-Type": "application/json"}
    answer = world.http.post("/api/proposals/prop-1/approve", content=body, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (422, f"In the body of the request, {said}.")


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


def test_what_a_prometheus_sends_later_than_it_reads_it_is_not_taken_for_gone(world: World) -> None:
    rate = canonical_series("sent", "requests_per_second")
    world.watched.append("sent")
    world.live.take(SeriesSet("sent", (rate,)))
    world.live.take(Samples.of("sent", "", NOW_MS - 11_000, {rate.id: 3.0}))
    assert state_of(world, "sent") == "stale"
    sent = replace(world.view, behind_ms={"sent": BEHIND_MS}).services()[0]
    assert (sent.name, sent.state, sent.stale_after_ms) == ("sent", "warming_up", 15_000)


def test_what_comes_only_every_fifteen_seconds_is_not_taken_for_gone(world: World) -> None:
    rate, up = canonical_series("slow", "requests_per_second"), canonical_series("slow", "targets_up_ratio")
    world.watched.append("slow")
    world.live.take(SeriesSet("slow", (rate, up)))
    for ago_s in (50, 35, 20):
        world.live.take(Samples.of("slow", "", NOW_MS - 1000 * ago_s, {rate.id: 3.0, up.id: 1.0}))
    assert 'recwatch_requests_per_second{service="slow"} 3.0' in world.http.get("/metrics").text
    (slow,) = (s for s in ask(world, "/api/services") if s["name"] == "slow")
    assert (slow["stale_after_ms"], slow["state"]) == (45_000, "warming_up")
