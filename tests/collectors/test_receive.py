"""What a receiver makes of requests: each row once, series ahead of samples, and the signals that scraping would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.config import ServiceConfig
from collectors.exposition import PageParser
from collectors.receive import Receiver
from recwatch.core.clock import FakeClock
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Mark
from recwatch.core.signals import Samples, Series, SeriesSet
from tests.collectors.remote_writer import COUNTER, STALE, message, metadata, packed, request, series
from tests.collectors.scenes import START_MS, Reading, Recommender, Watch, short
from tests.collectors.server import PageServer, page

RANKER = {"job": "ranker", "instance": "10.0.0.1:8000"}
UP = {"__name__": "up", **RANKER}


@dataclass
class Wire:
    """The bus as a list that refuses every message while `full`, or after `room` more."""

    receiver: Receiver = field(init=False)
    clock: FakeClock = field(default_factory=lambda: FakeClock(START_MS))
    sent: list[Any] = field(default_factory=list)
    room: int = 10**6

    @classmethod
    def of(cls, stored: Mapping[int, int] | None = None, **settings: object) -> Wire:
        wire = cls()
        selected = {"name": "shop", "receive": ['{job="ranker"}']} | settings
        wire.receiver = Receiver([ServiceConfig.model_validate(selected)], wire.clock, wire.publish, stored)
        return wire

    def publish(self, topic: str, key: str, said: Any) -> None:
        if self.room == 0:
            raise Unavailable("the bus is full")
        self.room -= 1
        self.sent.append(said)

    def known(self) -> dict[int, Series]:
        return {one.id: one for said in self.sent if isinstance(said, SeriesSet) for one in said.series}

    def rows(self) -> list[tuple[str, int, float]]:
        """The rows of targets, in the order in which they were published."""
        known = self.known()
        return [
            (short(known[series_id]), time_ms - START_MS, value)
            for said in self.sent
            if isinstance(said, Samples) and said.target
            for series_id, time_ms, value in zip(
                said.series_id.tolist(), said.time_ms.tolist(), said.value.tolist(), strict=True
            )
        ]

    def sends_on(self, seconds: float = 6.0) -> Wire:
        """So much later, rows of another target show that all before them has been sent."""
        self.clock.advance(seconds)
        self.receiver.write(body({"up": 1.0}, (self.clock.now_ms() - START_MS) / 1000, instance="other:1"))
        return self

    def signals(self) -> dict[int, Reading]:
        """The canonical signals by time, of the intervals that are over."""
        self.receiver.tick()
        known, found = self.known(), {}
        for said in self.sent:
            if isinstance(said, Samples) and not said.target:
                names = [short(known[series_id]) for series_id in said.series_id.tolist()]
                found[int(said.time_ms[0]) - START_MS] = dict(zip(names, said.value.tolist(), strict=True))
        return found


def body(rows: Mapping[str, float], second: float, **labels: str) -> bytes:
    at_ms = START_MS + round(second * 1000)
    return request({name: [(at_ms, value)] for name, value in rows.items()}, **RANKER | labels)


def test_rows_are_published_under_their_own_names_after_their_series() -> None:
    wire = Wire.of()
    labels = {"__name__": "hits_total", "service": "web", **RANKER}
    wire.receiver.write(packed(message([series(labels, [(START_MS, 7.0)])])))
    announced, samples = wire.sent
    (one,) = announced.series
    assert one.key == 'hits_total{exported_service="web",instance="10.0.0.1:8000",job="ranker",service="shop"}'
    assert (one.kind, one.unit, one.target) == ("counter", "", "prometheus://10.0.0.1:8000/ranker")
    assert (samples.service, samples.target, samples.series_id.tolist()) == ("shop", one.target, [one.id])


def test_a_request_that_comes_again_adds_nothing() -> None:
    wire = Wire.of()
    for second in (0, 1, 1, 0):
        wire.receiver.write(body({"a": second, "b": second}, second))
    assert wire.rows() == [("a", 0, 0.0), ("b", 0, 0.0), ("a", 1000, 1.0), ("b", 1000, 1.0)]
    assert wire.receiver.counters.rows == 4
    assert wire.receiver.counters.dropped["duplicate"] == 4


def test_a_row_that_is_twice_in_a_request_counts_once_and_rows_are_put_in_order() -> None:
    wire = Wire.of()
    at = [START_MS + second * 1000 for second in (3, 1, 1, 2)]
    wire.receiver.write(request({"a": [(time_ms, float(number)) for number, time_ms in enumerate(at)]}, **RANKER))
    assert wire.rows() == [("a", 1000, 1.0), ("a", 2000, 3.0), ("a", 3000, 0.0)]


def test_after_a_restart_what_is_stored_already_is_not_taken_again() -> None:
    first = Wire.of()
    first.receiver.write(body({"a": 1.0}, 1))
    (series_id,) = first.known()
    second = Wire.of(stored={series_id: START_MS + 1000})
    second.receiver.write(body({"a": 1.0, "b": 1.0}, 1))
    second.receiver.write(body({"a": 2.0}, 2))
    assert second.rows() == [("b", 1000, 1.0), ("a", 2000, 2.0)]


@given(st.integers(0, 8))
def test_wherever_the_bus_refuses_a_request_sent_again_is_complete_and_nothing_is_doubled(room: int) -> None:
    wire = Wire.of()
    targets = [
        series({"__name__": name, "job": "ranker", "instance": instance}, [(START_MS, 1.0), (START_MS + 1000, 2.0)])
        for instance in ("a:1", "b:1", "c:1")
        for name in ("hits_total", "up")
    ]
    whole = packed(message(targets, [metadata("hits", COUNTER)]))
    wire.room = room
    if room < 4:
        with pytest.raises(Unavailable):
            wire.receiver.write(whole)
        assert len(wire.sent) == room
    wire.room = 100
    wire.receiver.write(whole)
    assert len(wire.rows()) == len(set(wire.rows())) * 3 == 12
    assert isinstance(wire.sent[0], SeriesSet)


def test_a_request_that_is_malformed_anywhere_is_taken_in_nowhere() -> None:
    wire = Wire.of()
    with pytest.raises(BadInput):
        wire.receiver.write(packed(message([series(UP, [(START_MS, 1.0)]), series({"job": "ranker"}, [(START_MS, 1.0)])])))
    assert wire.sent == []
    assert wire.receiver.counters.requests == 0


def test_what_nobody_asked_for_or_is_out_of_time_is_dropped_and_counted() -> None:
    wire = Wire.of()
    wire.receiver.write(body({"a": 1.0}, 0, job="other"))
    wire.receiver.write(body({"a": 1.0}, 601))
    wire.receiver.write(body({"a": 1.0}, 600))
    wire.receiver.write(request({"a": [(-1, 1.0), (0, 1.0)]}, **RANKER))
    assert [row[1] for row in wire.rows()] == [600_000]
    assert wire.receiver.counters.dropped["unclaimed"] == 1
    assert wire.receiver.counters.dropped["out_of_time"] == 3


def test_a_type_that_comes_later_is_announced() -> None:
    wire = Wire.of()
    wire.receiver.write(body({"rpc_seconds_sum": 1.0}, 0))
    assert [one.kind for one in wire.known().values()] == ["untyped"]
    wire.receiver.write(packed(message([], [metadata("rpc_seconds", 3)])))
    assert [one.kind for one in wire.known().values()] == ["histogram"]
    sent = len(wire.sent)
    wire.receiver.write(packed(message([], [metadata("rpc_seconds", 3)])))
    assert len(wire.sent) == sent


SETTLED_MS = 7_000
"""From then on there are two pages to compare, of which every series has come."""


def story() -> list[Recommender]:
    """Seven idle seconds of a recommender and ten busy ones, among them a deploy, a queue, and a restart."""
    busy = Recommender(started=5.0)
    steps = [busy] * 7
    for second in range(1, 10):
        grown = {"ok": 300, "error": second, "buckets": 0, "seconds": 20.0, "hits": 40, "misses": 60 + second}
        buckets = tuple(bound + more for bound, more in zip(busy.buckets, (200, 280, 300), strict=True))
        busy = busy.after(**{name: by for name, by in grown.items() if name != "buckets"})
        busy = Recommender(
            **{**vars(busy), "buckets": buckets, "queue_depth": second, "version": "v2" if second > 5 else "v1"}
        )
        steps.append(busy)
    return [*steps, Recommender(ok=5, buckets=(5, 5, 5), started=9.0), Recommender(ok=9, buckets=(7, 9, 9), started=9.0)]


def test_the_signals_are_those_that_scraping_gives(server: PageServer) -> None:
    watch = Watch.of(server.url("/metrics"))
    scraped, marks = {}, []
    for recommender in story():
        server.answers["/metrics"] = page(recommender.text())
        tick = watch.tick()
        scraped[watch.time_ms - START_MS] = watch.signals(tick)
        marks += [mark.text.partition(" ")[2] for mark in tick.marks]
    watch.close()
    wire = Wire.of()
    for second, recommender in enumerate(story(), start=1):
        wire.clock.advance(1.0)
        for part in parts_of(recommender.text(), second - 0.4, 3):
            wire.receiver.write(part)
        wire.receiver.tick()
    found = wire.sends_on().signals()
    assert {at: signals for at, signals in found.items() if at >= SETTLED_MS} == {
        at: signals for at, signals in scraped.items() if at >= SETTLED_MS
    }
    assert [said.text.partition(" ")[2] for said in wire.sent if isinstance(said, Mark)] == marks


def parts_of(text: str, second: float, parts: int) -> list[bytes]:
    """A page as a Prometheus with several queues sends it: each sends some of the series."""
    read = PageParser().parse(text)
    at_ms = START_MS + round(second * 1000)
    rows = [
        series({"__name__": line.name, **line.labels, **RANKER}, [(at_ms, value)])
        for line, value in zip(read.lines, read.values.tolist(), strict=True)
    ]
    rows.append(series(UP, [(at_ms, 1.0)]))
    return [packed(message(rows[number::parts])) for number in range(parts)]


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_in_which_order_the_queues_send_makes_no_difference(random: Any) -> None:
    pages = [parts_of(recommender.text(), second + 0.5, 3) for second, recommender in enumerate(story()[:12])]
    straight, mixed = Wire.of(), Wire.of()
    straight.clock.advance(12.0)
    mixed.clock.advance(12.0)
    queues: Sequence[list[bytes]] = [list(queue) for queue in zip(*pages, strict=True)]
    for part in (part for parts in pages for part in parts):
        straight.receiver.write(part)
    while left := [queue for queue in queues if queue]:
        mixed.receiver.write(random.choice(left).pop(0))
    assert mixed.sends_on().signals() == straight.sends_on().signals()
    assert sorted(mixed.rows()) == sorted(straight.rows())


def test_a_page_of_which_only_a_part_came_is_no_surge() -> None:
    wire = Wire.of()
    for second in range(12):
        wire.clock.advance(1.0)
        counted = Recommender(ok=1_000_000 + second).text()
        for part in parts_of(counted, second + 0.5, 3)[: 1 if second == 0 else 3]:
            wire.receiver.write(part)
    rates = [signals.get("requests_per_second", 0.0) for signals in wire.sends_on().signals().values()]
    assert max(rates) == 1.0


def test_a_target_that_is_down_counts_and_one_that_is_given_up_does_not() -> None:
    wire = Wire.of()
    for second in (1, 2, 3):
        wire.clock.advance(1.0)
        wire.receiver.write(body({"up": 1.0}, second, instance="a:1"))
        wire.receiver.write(body({"up": float(second == 1)}, second, instance="b:1"))
    wire.receiver.write(body({"up": STALE}, 4, instance="b:1"))
    wire.receiver.write(body({"up": 1.0}, 4, instance="a:1"))
    wire.clock.advance(6.0)
    wire.receiver.write(body({"up": 1.0}, 9, instance="a:1"))
    signals = wire.signals()
    assert [signals[at]["targets_up_ratio"] for at in (1000, 2000, 3000, 4000)] == [1.0, 0.5, 0.5, 1.0]
    assert [status.url for status in wire.receiver.targets()["shop"]] == ["prometheus://a:1/ranker"]


def test_a_target_that_comes_back_with_a_new_series_is_one_target() -> None:
    wire = Wire.of()
    for second in (1, 2):
        wire.clock.advance(1.0)
        wire.receiver.write(body({"up": 1.0, "recommender_requests_total": 1.0}, second))
    wire.receiver.write(body({"up": STALE}, 3))
    wire.sends_on(8.0).signals()
    wire.sends_on().signals()
    assert [status.url for status in wire.receiver.targets()["shop"]] == ["prometheus://other:1/ranker"]
    for second in range(17, 29):
        wire.clock.advance(1.0)
        wire.receiver.write(body({"up": 1.0, "recommender_requests_total": 1.0, "recommender_queue_depth": 3.0}, second))
    assert wire.sends_on().signals()[25_000]["queue_depth"] == 3.0
    (status,) = (one for one in wire.receiver.targets()["shop"] if "10.0.0.1" in one.url)
    assert (status.up, status.samples) == (True, 3)


def test_with_too_many_series_it_begins_anew_and_still_knows_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.receive.SERIES_LIMIT", 3)
    wire = Wire.of()
    wire.receiver.write(body({"up": 1.0, "a": 1.0, "b": 1.0}, 1))
    wire.receiver.write(body({"c": 1.0}, 1))
    wire.receiver.write(body({"up": 1.0, "a": 2.0}, 1))
    assert sorted(wire.rows()) == [("a", 1000, 1.0), ("b", 1000, 1.0), ("c", 1000, 1.0), ("up", 1000, 1.0)]
    assert wire.receiver.counters.dropped["duplicate"] == 2
    last = [said for said in wire.sent if isinstance(said, SeriesSet)][-1]
    assert sorted(one.name for one in last.series) == ["a", "c", "up"]


def test_a_type_about_which_targets_differ_is_announced_once() -> None:
    wire = Wire.of()
    wire.receiver.write(body({"depth": 1.0}, 0))
    told = [metadata("depth", COUNTER), metadata("depth", 2), metadata("depth", 0)]
    wire.receiver.write(packed(message([], told)))
    sent = len(wire.sent)
    for order in (told[::-1], told[1:] + told[:1]):
        wire.receiver.write(packed(message([], order)))
    assert len(wire.sent) == sent


def test_a_prometheus_that_falls_silent_leaves_no_target_that_is_known_to_be_up_until_it_sends_again() -> None:
    wire = Wire.of()
    wire.receiver.write(body({"up": 1.0}, 0))
    wire.clock.advance(14.0)
    assert wire.signals() == {}
    wire.clock.advance(1.0)
    assert wire.signals() == {0: {"targets_up_ratio": 1.0}, 15_000: {"targets_up_ratio": 0.0}}
    wire.clock.advance(1.0)
    assert wire.signals()[16_000] == {"targets_up_ratio": 0.0}
    assert ["no Prometheus sends" in status.last_error for status in wire.receiver.targets()["shop"]] == [True]
    wire.clock.advance(6.0)
    for second in range(1, 23):
        wire.receiver.write(body({"up": 1.0}, second))
    signals = wire.signals()
    assert {at for at, found in signals.items() if "targets_up_ratio" in found} == {0, 15_000, 16_000, 17_000}
    assert signals[17_000] == {"targets_up_ratio": 1.0}
    assert [status.up for status in wire.receiver.targets()["shop"]] == [True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "shop has no targets"),
        ({"receive": ['{job="a"}'], "targets": ["http://127.0.0.1:1/metrics"]}, "shop is scraped and received"),
        ({"receive": ['{job="a"}'], "host": True}, "shop is scraped and received"),
        ({"receive": ["{}"]}, "is no series selector"),
        ({"receive": ['{job=~".*"}']}, "selects series without any label"),
        ({"receive": ['{job="a" zone="b"}']}, "cannot be read from 'job"),
        ({"receive": ['{job=~"("}']}, "cannot be read"),
    ],
)
def test_a_service_is_scraped_or_received_and_selects_something(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ServiceConfig.model_validate({"name": "shop", **content})
