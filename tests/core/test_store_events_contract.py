"""What every store promises of events and of snapshots, whatever its DSN."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import pytest

from recwatch.core.bus import Position
from recwatch.core.event_json import Event
from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.proposals import Decision, Proposal
from recwatch.core.stage import Snapshot
from recwatch.core.store import Store
from tests.core.examples import ANOMALY, EVENTS, INCIDENT, MARK, NASTY_TEXTS, OPEN, PROPOSAL, START_MS
from tests.core.stores import Open


@pytest.fixture
def store(opened: Open) -> Store:
    return opened()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_kind_of_event_comes_back(store: Store, event: Event) -> None:
    store.write_events(EVENTS)
    assert store.events(type(event)) == [event]
    assert store.event(type(event), event.id) == event


@pytest.mark.parametrize("text", NASTY_TEXTS)
def test_texts_are_bound_and_never_part_of_a_query(store: Store, text: str) -> None:
    mark = dataclasses.replace(MARK, id=text, service=text, text=text)
    store.write_events([MARK, mark])
    assert store.events(Mark, service=text) == [mark]
    assert store.event(Mark, text) == mark
    store.save_snapshot(text, Snapshot(text.encode(), START_MS))
    assert store.load_snapshot(text) == Snapshot(text.encode(), START_MS)


def versions_of_an_anomaly() -> list[Anomaly]:
    return [ANOMALY, dataclasses.replace(ANOMALY, end_ms=START_MS + 9, peak_score=9.0)]


def versions_of_an_incident() -> list[Incident]:
    wider = dataclasses.replace(INCIDENT, anomalies=(ANOMALY, ANOMALY))
    resolved = dataclasses.replace(INCIDENT, state="resolved", history=(OPEN, OPEN), anomalies=())
    return [INCIDENT, wider, resolved]


def versions_of_a_proposal() -> list[Proposal]:
    approved = PROPOSAL.moved("approved", START_MS, "ana", "go")
    return [PROPOSAL, approved, approved.moved("applied", START_MS, "recwatch", "sent")]


@pytest.mark.parametrize(
    "versions",
    [versions_of_an_anomaly(), versions_of_an_incident(), versions_of_a_proposal()],
    ids=["anomaly", "incident", "proposal"],
)
def test_the_latest_value_of_an_id_counts_in_whatever_order_they_came(opened: Open, versions: list[Event]) -> None:
    store = opened()
    for number, order in enumerate(permutations(versions)):
        named = [dataclasses.replace(event, id=f"{event.id}-{number}") for event in order]
        for event in named:
            store.write_events([event])
        store.write_events(named[:1])
        latest = dataclasses.replace(versions[-1], id=named[0].id)
        assert store.event(type(latest), latest.id) == latest


@pytest.mark.parametrize("together", [True, False])
def test_of_equal_versions_the_last_written_counts(store: Store, together: bool) -> None:
    first = Silence("s", "shop", None, 1, 100, "ana", "known")
    ended = dataclasses.replace(first, end_ms=50)
    for batch in [[first, ended]] if together else [[first], [ended]]:
        store.write_events(batch)
    assert store.events(Silence) == [ended]


def test_events_come_newest_first_by_service_and_time(store: Store) -> None:
    marks = [Mark.of(("shop", "news")[n % 2], "note", START_MS + n, f"note {n}", by="ana") for n in range(6)]
    store.write_events([marks[n] for n in (3, 0, 5, 1, 4, 2)])
    assert store.events(Mark) == marks[::-1]
    assert store.events(Mark, service="news") == [marks[5], marks[3], marks[1]]
    assert store.events(Mark, since_ms=START_MS + 4) == [marks[5], marks[4]]
    assert store.events(Mark, limit=2) == [marks[5], marks[4]]
    assert store.events(Decision) == []


def test_what_goes_on_is_found_however_long_ago_it_began(store: Store) -> None:
    anomaly, incident, proposal = versions_of_an_anomaly(), versions_of_an_incident(), versions_of_a_proposal()
    store.write_events([anomaly[0], incident[0], proposal[0], MARK, Silence("s", "shop", None, 1, 100, "ana", "known")])
    over = dataclasses.replace(incident[-1], end_ms=START_MS + 9)
    for number in range(3):
        for one in (anomaly[-1], over):
            store.write_events([dataclasses.replace(one, id=f"later-{number}", start_ms=START_MS + 10 + number)])
    assert store.events(Anomaly, limit=2, open_only=True) == [anomaly[0]]
    assert store.events(Incident, limit=2, open_only=True) == [incident[0]]
    assert store.events(Proposal, open_only=True) == [proposal[0]]
    assert (store.events(Mark, open_only=True), store.events(Silence, open_only=True)) == ([], [])
    store.write_events([anomaly[-1], over, proposal[0].moved("rejected", START_MS, "ana", "no")])
    assert [store.events(kind, open_only=True) for kind in (Anomaly, Incident, Proposal)] == [[], [], []]


def test_a_snapshot_replaces_the_one_before_and_holds_any_bytes(store: Store) -> None:
    blob = bytes(range(256)) * 1_000
    offsets = {Position("samples", 3): 2**40, Position("derived_series", 3): 0}
    store.save_snapshot("detectors", Snapshot(b"old", START_MS + 1))
    store.save_snapshot("detectors", Snapshot(blob, START_MS, 0, offsets))
    store.save_snapshot("alerting", Snapshot(b"", START_MS))
    assert store.load_snapshot("detectors") == Snapshot(blob, START_MS, 0, offsets)
    assert store.load_snapshot("alerting") == Snapshot(b"", START_MS)


def test_a_snapshot_of_an_earlier_generation_replaces_none_of_a_later_one(store: Store) -> None:
    for generation, blob in ((7, b"first"), (9, b"successor"), (7, b"zombie"), (9, b"successor, later"), (8, b"another")):
        store.save_snapshot("detectors/0", Snapshot(blob, START_MS, generation))
    assert store.load_snapshot("detectors/0") == Snapshot(b"successor, later", START_MS, 9)
