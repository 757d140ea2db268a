"""What people say over the API: decisions, marks and silences, which it publishes."""

from __future__ import annotations

import pytest

from recwatch.core.events import Silence
from recwatch.core.proposals import Decision
from tests.app.world import AUTH, NOW_MS, World
from tests.dashboards.story import SERVICE, proposal, verified


def test_an_approval_is_published_and_changes_nothing_else(world: World) -> None:
    subscription = world.bus.subscribe("tuning", ("decisions",))
    answer = world.http.post("/api/proposals/prop-1/approve", json={"by": "ada", "why": "looks right"}, headers=AUTH)
    assert answer.status_code == 202
    (record,) = subscription.poll(0.0)
    assert isinstance(record.message, Decision)
    assert (record.key, record.message.verdict, record.message.by) == (SERVICE, "approve", "ada")
    assert world.ask("/api/proposals/prop-1")["state"] == "proposed"


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
