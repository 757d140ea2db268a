"""The embedded deployment whole: real pages, real threads, a real store, and the world failing."""

from __future__ import annotations

import logging
import socket
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from alerting.message import Message, message_of
from alerting.own_lag import FOLLOWERS, READER
from recwatch.app.pipeline import Pipeline
from recwatch.app.server import Server
from recwatch.app.threads import Trouble
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import SystemClock
from recwatch.core.errors import Unavailable
from recwatch.core.stage import Snapshot
from recwatch.core.store import Store, open_store
from recwatch.core.store.sink import Sink
from tests.app.shop import PATH, assert_whole, numbered, pipeline_of, stored_answers, watched
from tests.collectors.server import PageServer, page, stalled
from tests.dashboards.story import surge_incident
from tests.waiting import until

MEMORIES = ("detectors", "alerting", "tuning", "outbox", "own_lag")


def run_until_scraped(pipeline: Pipeline, samples: int = 20) -> None:
    pipeline.start()
    until(lambda: pipeline.samples_scraped() >= samples, f"{samples} samples are scraped")
    pipeline.check()


def memory_of(content: dict[str, Any], name: str) -> bytes:
    store = open_store(content["store"])
    kept = store.load_snapshot(name)
    store.close()
    assert kept is not None
    return kept.blob


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("recwatch")]


class Deaf:
    """A notifier with a bug."""

    def send(self, message: Message) -> None:
        raise ZeroDivisionError("a bug")

    def close(self) -> None:
        """Nothing is open."""


class Stuck:
    """A notifier that hangs until it is released."""

    def __init__(self) -> None:
        self.entered, self.released = Event(), Event()

    def send(self, message: Message) -> None:
        self.entered.set()
        self.released.wait()

    def close(self) -> None:
        """Nothing is open."""


def test_what_is_scraped_is_answered_over_http_and_stored_to_the_last_sample(
    content: dict[str, Any], server: PageServer
) -> None:
    pipeline = pipeline_of(content)
    run_until_scraped(pipeline)
    with httpx.Client(base_url=pipeline.url, trust_env=False) as http:
        until(lambda: http.get("/api/services").json()[0]["last_ms"], "the live view has samples")
        assert http.get("/healthz").json() == {"status": "ok"}
        (service,) = http.get("/api/services").json()
        assert [(t["url"], t["up"]) for t in service["targets"]] == [(server.url(PATH), True)]
        assert 'recwatch_targets_up_ratio{service="shop"} 1.0\n' in http.get("/metrics").text
        explained = http.get("/api/explain", params={"service": "shop", "series": "targets_up_ratio"}).json()
        assert explained["details"]
    pipeline.stop()
    assert pipeline.samples_scraped() == pipeline.samples_stored() > 0
    assert_whole(*stored_answers(content))
    store = open_store(content["store"])
    assert store.samples_stored() == sum(pipeline.sink.samples_stored.values())
    store.close()


def test_a_restart_shows_the_past_and_goes_on_from_what_was_learnt(content: dict[str, Any]) -> None:
    first = pipeline_of(content)
    run_until_scraped(first)
    first.stop()
    learnt = memory_of(content, "detectors")
    second = pipeline_of(content)
    assert second.live.recent.last_ms("shop") == first.live.recent.last_ms("shop") is not None
    second.stop()
    assert memory_of(content, "detectors") == learnt


def test_a_stage_that_dies_of_a_bug_is_told_and_the_others_store_what_they_have(content: dict[str, Any]) -> None:
    pipeline = pipeline_of(content, notifiers={"deaf": Deaf()})
    run_until_scraped(pipeline)
    incident = surge_incident(SystemClock().now_ms())
    pipeline.bus.publish("incidents", incident.service, incident)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        until(pipeline.check, "the outbox dies")
    pipeline.stop()
    assert pipeline.samples_scraped() == pipeline.samples_stored()
    store = open_store(content["store"])
    assert store.event(type(incident), incident.id) == incident
    waiting = store.load_snapshot("outbox")
    assert waiting is not None
    assert f'"queues":{{"deaf":[{{"message":{{"id":"{message_of(incident, "open", 0).id}"'.encode() in waiting.blob
    assert store.load_snapshot("detectors") is not None
    store.close()


def test_what_the_store_refuses_waits_on_disk_and_is_stored_in_the_end(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(store: Store, batches: object, token: str) -> None:
        raise Unavailable("store: its disk is full; free some space", retry_after_s=0.1)

    monkeypatch.setattr("recwatch.app.pipeline.open_bus", lambda dsn, max_block_s: MemoryBus(1, 30, max_block_s=0.05))
    monkeypatch.setattr("recwatch.app.roles.sink.Sink", partial(Sink, flush_s=0.1))
    pipeline = pipeline_of(content)
    with monkeypatch.context() as disk:
        disk.setattr(Store, "write_samples", refuse)
        pipeline.start()
        until(lambda: pipeline.totals()["recwatch_spool_samples"].get("shop", 0) > 10, "samples wait on disk")
        assert list((tmp_path / "spool").glob("*.segment"))
    until(lambda: not list((tmp_path / "spool").glob("*.segment")), "all that waited is on the bus")
    pipeline.check()
    pipeline.stop()
    assert pipeline.samples_scraped() == pipeline.samples_stored()
    assert_whole(*stored_answers(content))
    told = [line for line in warnings_of(caplog) if line.startswith("bus: ")]
    assert told[0].startswith("bus: samples partition 0 is full: sink has not committed its 30 records")
    assert told[0].endswith(f"until then what is measured waits in {tmp_path}/spool")
    assert told[1] == "bus: it has taken all that waited."


def test_stopping_does_not_wait_for_a_stage_that_is_stuck(content: dict[str, Any]) -> None:
    stuck = Stuck()
    pipeline = pipeline_of(content, notifiers={"stuck": stuck})
    run_until_scraped(pipeline)
    incident = surge_incident(SystemClock().now_ms())
    pipeline.bus.publish("incidents", incident.service, incident)
    until(stuck.entered.is_set, "the notifier is asked")
    pipeline.stop()
    stuck.released.set()
    assert pipeline.samples_scraped() == pipeline.samples_stored()


def test_stopping_breaks_a_scrape_off_and_says_nothing_of_its_target(tmp_path: Path, server: PageServer) -> None:
    server.answers[PATH] = stalled(server)
    content = watched(tmp_path, server, scrape_interval="5s")
    pipeline = pipeline_of(content)
    pipeline.start()
    until(lambda: server.requests, "the page is asked for")
    pipeline.stop()
    assert pipeline.samples_scraped() == 0
    store = open_store(content["store"])
    assert store.samples_stored() == 0
    store.close()


def test_stopping_twice_or_before_the_start_is_harmless(content: dict[str, Any]) -> None:
    pipeline = pipeline_of(content)
    pipeline.stop()
    pipeline.stop()
    pipeline_of(content).stop()


def test_memories_that_do_not_fit_are_logged_and_begun_anew(
    content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(content["store"])
    for name in MEMORIES:
        store.save_snapshot(name, Snapshot(b"[1, 2]", 0))
    store.close()
    pipeline = pipeline_of(content)
    run_until_scraped(pipeline)
    until(lambda: len(warnings_of(caplog)) >= len(MEMORIES), "all begin anew")
    pipeline.stop()
    said = warnings_of(caplog)
    assert {line.partition(" begins anew: ")[0] for line in said} == set(MEMORIES)
    assert all("\n" not in line and line.endswith("start without it") for line in said)


def test_a_target_that_goes_away_is_logged_when_it_goes_and_when_it_comes(
    content: dict[str, Any], server: PageServer, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = pipeline_of(content)
    run_until_scraped(pipeline)
    caplog.clear()
    server.answers[PATH] = page("", status=503)
    asked = len(server.requests)
    until(lambda: len(server.requests) >= asked + 5, "the page is asked for five times more")
    server.answers[PATH] = numbered(server)
    until(lambda: warnings_of(caplog)[1:], "the target is back")
    pipeline.stop()
    url = server.url(PATH)
    assert warnings_of(caplog) == [f"shop: {url} answers HTTP status 503, not 200", f"shop: {url} answers."]
    assert all(record.exc_info is None for record in caplog.records)


def test_how_the_targets_are_is_published_when_it_changes(content: dict[str, Any], server: PageServer) -> None:
    pipeline = pipeline_of(content)
    reader = pipeline.bus.subscribe("reader", ("targets",))
    run_until_scraped(pipeline)
    server.answers[PATH] = page("", status=503)
    asked = len(server.requests)
    until(lambda: len(server.requests) >= asked + 3, "the page is asked for three times more")
    sets = [record.message for record in reader.poll(0.0)]
    pipeline.stop()
    url = server.url(PATH)
    told = dict.fromkeys((target.url, target.up, target.error) for one in sets for target in one.targets)
    assert list(told) == [(url, True, ""), (url, False, f"{url} answers HTTP status 503, not 200")]
    assert all(0 < one.targets[0].last_scrape_ms <= one.time_ms for one in sets)


def test_every_stage_tells_how_far_it_has_come(content: dict[str, Any]) -> None:
    pipeline = pipeline_of(content)
    reader = pipeline.bus.subscribe("reader", ("progress",))
    run_until_scraped(pipeline)
    far: dict[str, int] = {}

    def told() -> bool:
        found = [record.message for record in reader.poll(0.0)]
        far.update({progress.stage: progress.until_ms["shop"] for progress in found if "shop" in progress.until_ms})
        return far.keys() >= {READER, *FOLLOWERS}

    until(told, "all have come somewhere")
    assert all(0 <= SystemClock().now_ms() - until_ms < 60_000 for until_ms in far.values())
    text = httpx.get(f"{pipeline.url}/metrics", trust_env=False).text
    assert httpx.get(f"{pipeline.url}/readyz", trust_env=False).json() == {"status": "ready"}
    pipeline.stop()
    for line in ('recwatch_delay_seconds_count{stage="sink"} ', 'recwatch_rebalances_total{stage="collectors"} '):
        (found,) = [row for row in text.splitlines() if row.startswith(line)]
        assert float(found.removeprefix(line)) > 0
    assert 'recwatch_lag_records{group="detectors"} ' in text


def test_an_objective_that_nothing_measures_is_logged_once(
    content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    content["services"][0]["scrape_interval"] = "50ms"
    pipeline = pipeline_of(content)
    pipeline.start()
    until(lambda: [line for line in warnings_of(caplog) if "judged" in line], "the lack is logged")
    asked = pipeline.samples_scraped()
    until(lambda: pipeline.samples_scraped() > 2 * asked, "it is scraped as often again")
    pipeline.stop()
    (said,) = (line for line in warnings_of(caplog) if "judged" in line)
    assert said.startswith("shop: p99 latency cannot be judged: no target has latency buckets")


def test_a_trouble_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble("sink", "it stores again.")
    for sentence in ("", "the disk is full", "the disk is very full", "", "", "the disk is full"):
        trouble.now(sentence)
    assert caplog.messages == ["sink: the disk is full", "sink: it stores again.", "sink: the disk is full"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_server_that_was_stopped_first_does_not_serve() -> None:
    server = Server("127.0.0.1", 0)
    port = int(server.url.rpartition(":")[2])
    server.stop()
    server.serve(FastAPI())
    socket.create_server(("127.0.0.1", port)).close()


def test_what_is_lost_of_scrapes_is_exported(content: dict[str, Any], server: PageServer) -> None:
    server.answers = {PATH: page("a 1\nb{c=d} 2\n"), "/down": page("", status=500)}
    content["services"][0]["targets"].append(server.url("/down"))
    pipeline = pipeline_of(content)
    run_until_scraped(pipeline)
    until(lambda: len(pipeline.totals()["recwatch_scrapes_failed"]), "a scrape has failed")
    text = httpx.get(f"{pipeline.url}/metrics", trust_env=False).text
    pipeline.stop()
    for line in ('recwatch_scrapes_failed_total{reason="http_status"} ', 'recwatch_rows_unreadable_total{reason="labels"} '):
        (found,) = [row for row in text.splitlines() if row.startswith(line)]
        assert float(found.removeprefix(line)) > 0
    assert 'recwatch_scrapes_missed_total{service="shop"} ' in text
