"""Collectors while the brokers are away, or while they are cut off: nothing is lost, and nothing measured twice."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kafka import LocalKafka
from cluster.program import Answering, role_command
from recwatch.app.config import parse_config
from recwatch.app.roles.collectors import CollectorsRole
from recwatch.app.roles.role import Shared
from recwatch.core.bus import Assigned, Position, Record, Subscription
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.clock import SystemClock
from recwatch.core.errors import Unavailable
from tests.app.shop import NUMBER, assert_whole
from tests.collectors.server import Answer, page, serving
from tests.conftest import paused
from tests.fates import CutBus
from tests.waiting import ENOUGH_S, until

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""kafka-python leaves sockets open where a connection fails."""
NO_STORE = "clickhouse://recwatch@127.0.0.1:9/default"


def numbered() -> Answer:
    """A page that counts its own answers."""
    numbers = count(1)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        page(f"# TYPE {NUMBER} counter\n{NUMBER} {next(numbers)}\n")(handler)

    return answer


def content_of(folder: Path, brokers: Brokers, url: str) -> dict[str, Any]:
    return {
        "services": [{"name": "shop", "targets": [url], "scrape_interval": "200ms"}],
        "bus": str(brokers),
        "store": NO_STORE,
        "spool": {"folder": f"{folder}/spool"},
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None,
    }


def collectors(folder: Path, brokers: Brokers, url: str) -> Answering:
    """A process of collectors."""
    file = folder / "recwatch.yaml"
    file.write_text(yaml.safe_dump(content_of(folder, brokers, url)))
    return Answering("collectors", role_command("collectors", file), folder)


def samples(process: Answering, which: str) -> float:
    """How many of the shop's samples it has published, or holds in its spool."""
    found = re.search(rf'^recwatch_{which}{{service="shop"}} (\S+)$', process.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


class Heard:
    """What collectors have published."""

    def __init__(self, reader: Subscription) -> None:
        self._reader = reader
        self._records: dict[tuple[str, int, int], Record] = {}

    def more(self) -> list[Record]:
        """Those of a topic in order; what comes again, for the reader was away itself, counts once."""
        with suppress(Unavailable):
            self._records |= {(r.topic, r.partition, r.offset): r for r in self._reader.poll(0.05)}
        return [self._records[place] for place in sorted(self._records)]

    def readings(self, url: str, name: str = NUMBER) -> list[tuple[int, int]]:
        """Time and value of each reading of this page, by default of its own number, in the order they were published in."""
        records = self.more()
        known = [s for r in records if r.topic == "series" for s in r.message.series]
        ids = {s.id for s in known if s.name == name and s.labels["instance"] in url}
        found = []
        for message in (r.message for r in records if r.topic == "samples" and r.message.target == url):
            rows = zip(message.series_id.tolist(), message.time_ms.tolist(), message.value.tolist(), strict=True)
            found += [(time_ms, int(value)) for series_id, time_ms, value in rows if series_id in ids]
        return found

    def told(self) -> list[Any]:
        return [r.message for r in self.more() if r.topic == "targets"]

    def answers(self, url: str) -> tuple[list[int], int]:
        """The numbers of its answers that were told of, and how many scrapes failed."""
        failed = [up for _, up in self.readings(url, "up")].count(0)
        return [number for _, number in self.readings(url)], failed


@contextmanager
def hearing(brokers: Brokers) -> Iterator[Heard]:
    bus = kafka_bus(brokers, partitions=1)
    try:
        yield Heard(bus.subscribe("reader", ["series", "samples", "targets"]))
    finally:
        bus.close()


def test_a_collector_that_is_restarted_while_the_brokers_are_away_goes_on_with_its_share(
    tmp_path: Path, brokers: Brokers, broker: LocalKafka
) -> None:
    with serving() as server, hearing(brokers) as heard:
        url = server.url("/metrics")
        server.answers["/metrics"] = numbered()
        with collectors(tmp_path, brokers, url) as first:
            until(lambda: len(heard.readings(url)) > 5, "the first scrapes")
            os.kill(first.pid, signal.SIGKILL)
            until(lambda: not first.running(), "the first is dead")
        with ExitStack() as stack:
            with paused(broker):
                second = stack.enter_context(collectors(tmp_path, brokers, url))
                until(lambda: second.url, "the second answers")
                until(lambda: samples(second, "spool_samples_total") > 20, "the second scrapes")
                ready = second.get("/readyz")
                assert ready.status_code == 503
                assert "collectors wait since " in ready.json()["detail"]
                assert "UTC to learn their share, and scrape what was theirs before (shop) meanwhile: bus " in ready.text
                spooled = samples(second, "samples_published_total")
            until(second.answers, "the second has its share")
            until(lambda: samples(second, "samples_published_total") > spooled + 20, "it goes on")
            served = len(server.requests)
            until(lambda: heard.readings(url)[-1][1] >= served, "all is heard")
            second.stop(ENOUGH_S)
            assert second.exit_code == 0
        assert_whole(*heard.answers(url), under_way=2)


def test_a_collector_that_never_had_a_share_says_what_it_waits_for(
    tmp_path: Path, brokers: Brokers, broker: LocalKafka
) -> None:
    with serving() as server:
        server.answers["/metrics"] = numbered()
        with ExitStack() as stack:
            with paused(broker):
                one = stack.enter_context(collectors(tmp_path, brokers, server.url("/metrics")))
                until(lambda: one.url, "it answers")
                until(lambda: "cannot be reached; see" in one.get("/readyz").text, "it has tried to reach the brokers")
                assert "UTC to learn their share, and scrape nothing meanwhile: bus " in one.get("/readyz").text
                assert one.get("/healthz").is_success
            until(lambda: samples(one, "samples_published_total") > 0, "it scrapes")
            assert one.answers()
            one.stop(ENOUGH_S)
            assert one.exit_code == 0


class DoomedBus(CutBus):
    """A real bus that is cut off again when a member first hears that it lost its share, before it can have another."""

    doom = True

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> Subscription:
        def given(positions: Sequence[Position]) -> None:
            self.require()
            if on_assigned:
                on_assigned(positions)

        def lost(positions: Sequence[Position]) -> None:
            if self.doom:
                self.cut.set()
            self.doom = False
            if on_revoked:
                on_revoked(positions)

        return super().subscribe(group, topics, given, lost)


def test_one_that_lost_its_share_and_then_all_brokers_goes_on_with_it(tmp_path: Path, brokers: Brokers) -> None:
    with serving() as server, hearing(brokers) as heard, ExitStack() as stack:
        url = server.url("/metrics")
        server.answers["/metrics"] = numbered()
        bus = stack.enter_context(closing(kafka_bus(brokers, max_block_s=1.0, session_s=3.0, stall_s=3.0)))
        doomed = DoomedBus(bus)
        shared = Shared(parse_config(content_of(tmp_path, brokers, url), "recwatch.yaml"), SystemClock(), doomed)
        role = CollectorsRole(shared, {})
        stack.callback(role.stop)
        stack.callback(shared.stopping.set)
        role.start()
        until(lambda: len(heard.readings(url)) > 5, "it scrapes")
        doomed.cut.set()
        asked = len(server.requests)
        until(lambda: len(server.requests) > asked + 30, "it is silent for twice as long as it may be")
        assert not role.lacks().startswith("collectors wait")
        doomed.cut.clear()
        until(lambda: role.lacks().startswith("collectors wait"), "it hears that it lost its share, and is cut off again")
        asked = len(server.requests)
        until(lambda: len(server.requests) > asked + 20, "it scrapes on")
        assert role.lacks().endswith(
            " to learn their share, and scrape what was theirs before (shop) meanwhile: the network is cut"
        )
        doomed.cut.clear()
        until(lambda: not role.lacks() and not list((tmp_path / "spool").glob("*.segment")), "it has handed on what waited")
        role.check()
        until(lambda: len(heard.readings(url)) > asked + 20, "all is heard")
        numbers = [number for _, number in heard.readings(url)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_what_one_that_was_cut_off_measured_beside_its_successor_is_left_out(tmp_path: Path, brokers: Brokers) -> None:
    with serving() as server, hearing(brokers) as heard, ExitStack() as stack:
        roles, buses, urls = [], [], [server.url("/a"), server.url("/b")]
        for url, stall_s in zip(urls, (3.0, 300.0), strict=True):
            server.answers[url[-2:]] = numbered()
            config = parse_config(content_of(tmp_path / url[-1], brokers, url), "recwatch.yaml")
            bus = stack.enter_context(closing(kafka_bus(brokers, max_block_s=1.0, session_s=3.0, stall_s=stall_s)))
            buses.append(CutBus(bus))
            shared = Shared(config, SystemClock(), buses[-1])
            roles.append(CollectorsRole(shared, {}))
            stack.callback(roles[-1].stop)
            stack.callback(shared.stopping.set)
        first, second = roles
        first.start()
        until(lambda: len(heard.readings(urls[0])) > 5, "the first scrapes")
        buses[0].cut.set()
        second.start()
        until(lambda: len(heard.readings(urls[1])) > 20, "the second took over")
        taken_over_ms = min(told.since_ms for told in heard.told() if any(t.url == urls[1] for t in told.targets))
        assert first.totals()["recwatch_spool_samples"]["shop"] > 20
        buses[0].cut.clear()
        until(lambda: not list((tmp_path / "a/spool").glob("*.segment")), "the first has handed on what waited")
        before = len(heard.readings(urls[1]))
        until(lambda: len(heard.readings(urls[1])) > before + 10, "the second goes on")
        for role in roles:
            role.check()
        assert_whole(*heard.answers(urls[0]))
        assert taken_over_ms - 1000 < max(time_ms for time_ms, _ in heard.readings(urls[0], "up")) <= taken_over_ms
        assert heard.told()[-1].targets[0].url == urls[1]
