"""What Prometheus servers send → samples on the bus: each row once, under its own name and in its service's signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from collectors.config import ServiceConfig
from collectors.intervals import ReceivedService
from collectors.ledger import Ledger, Place
from collectors.received import series_id_of
from collectors.remote_write import EncodedLabels, decode, labels_of
from collectors.target import AHEAD_MS, TargetStatus
from recwatch.core.bus import Outgoing
from recwatch.core.clock import Clock
from recwatch.core.signals import Float64, Int64, Kind, Samples

RESENT_MS = 3 * 3_600_000
"""A Prometheus that could not send for longer has thrown the samples away: its log reaches back two to three hours."""
SERIES_LIMIT = 500_000
FAMILIES_LIMIT = 100_000

Publish = Callable[[str, str, Any], None]


@dataclass(slots=True)
class ReceiveCounters:
    """What a receiver did since it was made; every field only grows."""

    requests: int = 0
    rows: int = 0  # published
    dropped: Counter[str] = field(default_factory=Counter)  # rows that were not, by reason
    late_rows: int = 0  # published, but too late for the signals of their interval


class Receiver:
    """Takes in requests for all services, from any thread.

    A request is answered once all that it holds is on the bus. If `publish` raises Unavailable in between, the sender is to
    send the request again; so it does when an answer is lost. Therefore a row is dropped, and counted, that is not newer
    than the last of its series: that of this process, or of the store, whose newest times by series id are `stored`.
    """

    def __init__(
        self, services: Sequence[ServiceConfig], clock: Clock, publish: Publish, stored: Mapping[int, int] | None = None
    ) -> None:
        self.counters = ReceiveCounters()
        self._services = [ReceivedService(s.name, s.receive, round(1000 * s.scrape_interval)) for s in services]
        self._clock = clock
        self._publish = publish
        self._lock = Lock()
        self._ledger = Ledger(stored or {})
        self._kinds: dict[str, Kind] = {}
        self._unsent: list[Outgoing] = []

    def write(self, body: bytes) -> None:
        """Take in the body of a request. Raises BadInput, having taken nothing in, or Unavailable: then send it again."""
        request = decode(body)
        with self._lock:
            row_of = self._rows_of(request.series)
            self._announce(request.kinds)
            self._send()
            self._take(row_of[request.index], request.time_ms, request.value)
            self._end(row_of[sorted(request.ended)])
            self.counters.requests += 1
            self.counters.dropped += Counter(request.dropped)

    def tick(self) -> None:
        """Publish the signals of the intervals that are over. Raises Unavailable; the rest is published at the next call."""
        now_ms = self._clock.now_ms()
        with self._lock:
            self._send()
            for service in self._services:
                self._unsent += self._over(service, now_ms)
            self._send()

    def targets(self) -> Mapping[str, tuple[TargetStatus, ...]]:
        """How the targets of each service fare, as their Prometheus says."""
        return {service.name: service.targets() for service in self._services}

    def _rows_of(self, series: Sequence[EncodedLabels]) -> Int64:
        """The row of each series in the ledger, new ones entered there."""
        new = {encoded: labels_of(encoded) for encoded in self._ledger.unknown(series)}
        if new and len(self._ledger) + len(new) > SERIES_LIMIT:
            self._begin_anew()
            new = {encoded: labels_of(encoded) for encoded in self._ledger.unknown(series)}
        self._ledger.enter({encoded: self._place(labels) for encoded, labels in new.items()})
        return self._ledger.rows(series)

    def _begin_anew(self) -> None:
        """Forget the series, of which most must be long gone. The others come again and lose the growth of one interval."""
        for service in self._services:
            service.begin_anew()
        self._ledger = Ledger(self._ledger.newest(self._clock.now_ms() - RESENT_MS))

    def _place(self, labels: Mapping[str, str]) -> Place | None:
        service = next((service for service in self._services if service.selects(labels)), None)
        if service is None:
            return None
        source, position = service.add(labels)
        return Place(service, source, position, series_id_of(labels, service.name))

    def _announce(self, kinds: Mapping[str, Kind]) -> None:
        """Have the series sent that are new, or are known to be of another kind now."""
        news = {family: kind for family, kind in kinds.items() if self._kinds.get(family) != kind}
        if len(self._kinds | news) > FAMILIES_LIMIT:
            news = {}
        self._kinds |= news
        for service in self._services:
            if (series := service.describe(self._kinds, everything=bool(news))) is not None:
                self._unsent.append(Outgoing("series", service.name, series))

    def _take(self, row: Int64, time_ms: Int64, value: Float64) -> None:
        """Publish what is new of the rows, a batch a target."""
        now_ms = self._clock.now_ms()
        row, time_ms, value = self._kept("unclaimed", row >= 0, row, time_ms, value)
        timely = (time_ms > 0) & (time_ms <= now_ms + AHEAD_MS)
        row, time_ms, value = self._kept("out_of_time", timely, row, time_ms, value)
        order = np.lexsort((time_ms, row))
        row, time_ms, value = row[order], time_ms[order], value[order]
        again = np.zeros(len(row), np.bool_)
        again[1:] = (row[1:] == row[:-1]) & (time_ms[1:] == time_ms[:-1])
        new = (time_ms > self._ledger.last_ms[row]) & ~again
        row, time_ms, value = self._kept("duplicate", new, row, time_ms, value)
        source = self._ledger.source[row]
        for number in np.unique(source).tolist():
            mine = source == number
            self._publish_rows(row[mine], time_ms[mine], value[mine], now_ms)

    def _kept(self, reason: str, kept: Any, *columns: Any) -> tuple[Any, ...]:
        self.counters.dropped[reason] += int((~kept).sum())
        return tuple(column[kept] for column in columns)

    def _publish_rows(self, row: Int64, time_ms: Int64, value: Float64, now_ms: int) -> None:
        """Rows of one target, in the order of their time."""
        service, source, *_ = self._ledger.places[row[0]]
        samples = Samples(service.name, source.target, time_ms, self._ledger.series_id[row], value)
        self._publish("samples", service.name, samples)
        np.maximum.at(self._ledger.last_ms, row, time_ms)
        self.counters.rows += len(row)
        self.counters.late_rows += service.take(source, self._ledger.position[row], time_ms, value, now_ms)

    def _end(self, row: Int64) -> None:
        """A target whose `up` has ended is one that its Prometheus has given up."""
        for place in (self._ledger.places[one] for one in row[row >= 0].tolist()):
            if place.position == place.source.up:
                place.source.gone = True

    def _over(self, service: ReceivedService, now_ms: int) -> Iterator[Outgoing]:
        for end_ms in service.due(now_ms):
            samples, marks = service.close(end_ms)
            yield from self._told(service, samples)
            for mark in marks:
                yield Outgoing("marks", service.name, mark)
        if (silence := service.silence(now_ms)) is not None:
            yield from self._told(service, silence)

    def _told(self, service: ReceivedService, samples: Samples) -> Iterator[Outgoing]:
        if (series := service.describe(self._kinds)) is not None:
            yield Outgoing("series", service.name, series)
        if len(samples):
            yield Outgoing("samples", service.name, samples)

    def _send(self) -> None:
        while self._unsent:
            self._publish(*self._unsent[0])
            self._unsent.pop(0)
