"""The embedded deployment stops while its store refuses, or hangs: what was scraped waits on disk, and is stored once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from recwatch.app.config import parse_config
from recwatch.app.pipeline import Pipeline
from recwatch.app.threads import Worker
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import SystemClock
from recwatch.core.errors import Unavailable
from recwatch.core.store import Store, open_store
from recwatch.core.store.sink import Sink
from tests.app.shop import assert_whole, shop, stored_answers, watched
from tests.collectors.server import PageServer
from tests.conftest import mounted_disk
from tests.waiting import until


@pytest.fixture
def server() -> Iterator[PageServer]:
    with shop() as server:
        yield server


@pytest.fixture
def content(tmp_path: Path, server: PageServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("recwatch.app.roles.sink.Sink", partial(Sink, flush_s=0.1))
    return watched(tmp_path, server, scrape_interval="100ms")


def started(content: dict[str, Any]) -> Pipeline:
    pipeline = Pipeline(parse_config(content, "recwatch.yaml"), SystemClock())
    pipeline.start()
    return pipeline


def waiting(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "spool").glob("*.segment"))


def assert_next_start_stores_everything(content: dict[str, Any], tmp_path: Path) -> None:
    pipeline = started(content)
    until(lambda: not waiting(tmp_path), "all that waited is on the bus")
    pipeline.check()
    pipeline.stop()
    assert_whole(*stored_answers(content), under_way=1)


def refuse(store: Store, *arguments: object) -> None:
    raise Unavailable("store: its disk is full; free some space", retry_after_s=0.1)


def test_what_the_store_refuses_at_the_end_is_stored_after_the_next_start(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as disk:
        for method in ("write_samples", "write_series", "write_events", "save_snapshot"):
            disk.setattr(Store, method, refuse)
        pipeline = started(content)
        until(lambda: pipeline.samples_scraped() > 20, "samples are scraped")
        with pytest.raises(Unavailable, match="disk is full"):
            pipeline.stop()
        assert waiting(tmp_path)
        scraped = pipeline.samples_scraped()
        (told,) = [line for line in caplog.messages if "next start" in line]
        assert told == f"the store has not taken {scraped} samples; they wait in {tmp_path}/spool for the next start"
    assert_next_start_stores_everything(content, tmp_path)


def test_what_a_disk_that_is_really_full_does_not_take_is_stored_after_the_next_start(
    content: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mounted_disk(tmp_path / "disk", megabytes=90) as disk:
        content["store"] = f"chdb://{disk}/store"
        pipeline = started(content)
        until(lambda: pipeline.samples_stored() > 20, "samples are stored")
        filling = disk / "filling"
        with filling.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(2**20))
        until(lambda: "its disk is full" in caplog.text, "the sink finds the disk full")
        with pytest.raises(Unavailable, match="disk is full"):
            pipeline.stop()
        assert waiting(tmp_path)
        filling.unlink()
        assert_next_start_stores_everything(content, tmp_path)


def test_what_waited_already_follows_what_the_bus_held(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[int] = []
    publish = MemoryBus.publish

    def note(bus: MemoryBus, topic: str, key: str, message: Any) -> None:
        publish(bus, topic, key, message)
        if topic == "samples" and message.target:
            published.append(int(message.time_ms[0]))

    with monkeypatch.context() as disk:
        disk.setattr("recwatch.app.pipeline.open_bus", lambda dsn, max_block_s: MemoryBus(1, 8, max_block_s=0.05))
        disk.setattr(Store, "write_samples", refuse)
        pipeline = started(content)
        until(lambda: pipeline.totals()["recwatch_spool_samples"].get("shop", 0) > 10, "samples wait on disk")
        with pytest.raises(Unavailable):
            pipeline.stop()
    monkeypatch.setattr(MemoryBus, "publish", note)
    assert_next_start_stores_everything(content, tmp_path)
    assert published == sorted(published)


def test_a_store_that_hangs_does_not_keep_what_was_scraped(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, released = Event(), Event()

    def hang(store: Store, *arguments: object) -> None:
        entered.set()
        released.wait()
        raise Unavailable("store: it does not answer; see whether the server is well")

    with monkeypatch.context() as server:
        server.setattr(Store, "write_samples", hang)
        pipeline = started(content)
        until(entered.is_set, "samples are being stored")
        until(lambda: pipeline.samples_scraped() > 20, "samples are scraped")
        pipeline.stop()
        released.set()
    assert waiting(tmp_path)
    assert_next_start_stores_everything(content, tmp_path)


def test_the_roles_share_the_patience_with_a_store_that_hangs(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    released, waited_s = Event(), []
    join = Worker.join

    def hang(store: Store, *arguments: object) -> None:
        released.wait()

    def noted(worker: Worker, timeout: float | None = None) -> None:
        if worker.name == "finish":
            waited_s.append(timeout)
        join(worker, timeout)

    with monkeypatch.context() as server:
        pipeline = started(content)
        until(lambda: pipeline.samples_scraped() > 20, "samples are scraped")
        server.setattr(Store, "save_snapshot", hang)
        server.setattr(Worker, "join", noted)
        with pytest.raises(Unavailable, match=r": what they wait for did not answer for 1 s; see whether the store is well"):
            pipeline.stop()
        released.set()
    assert waited_s == [5.0, 1.0, 1.0, 1.0, 1.0]  # detectors, alerting, tuning, API and sink


def test_a_store_that_is_away_is_said_once(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = started(content)
    until(lambda: httpx.get(f"{pipeline.url}/readyz", trust_env=False).is_success, "it is ready")
    with monkeypatch.context() as server:
        for method in ("write_samples", "check"):
            server.setattr(Store, method, refuse)
        until(lambda: pipeline.totals()["recwatch_stage_unavailable"]["sink"] > 1, "the sink waits for the store")
        answer = httpx.get(f"{pipeline.url}/readyz", trust_env=False)
    pipeline.stop()
    assert (answer.status_code, answer.json()["detail"]) == (503, "store: its disk is full; free some space")


def test_what_is_stored_is_not_kept(content: dict[str, Any], tmp_path: Path) -> None:
    pipeline = started(content)
    until(lambda: pipeline.samples_scraped() > 20, "samples are scraped")
    pipeline.stop()
    assert not waiting(tmp_path)
    store = open_store(content["store"])
    assert store.samples_stored() >= pipeline.samples_scraped()
    store.close()
