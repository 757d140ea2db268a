"""Services at work being scraped, each by a thread of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from threading import Event

from collectors.collector import Collector, Tick
from collectors.scraping import ScrapeLoop
from recwatch.app.config import WatchedService
from recwatch.app.publisher import Publisher
from recwatch.app.standing import Standing
from recwatch.app.tenure import Tenure
from recwatch.app.threads import Trouble, Worker, ended
from recwatch.core.bus import Outgoing
from recwatch.core.clock import Clock
from recwatch.core.targets import TargetSet


class Scraping:
    """One service, scraped by `worker` until it is asked to end. `by` is who tells how its targets are."""

    def __init__(self, service: WatchedService, clock: Clock, loop: ScrapeLoop, publisher: Publisher, by: str = "") -> None:
        self.collector = Collector(service, clock, loop)
        self.service = service
        self._clock = clock
        self._publisher = publisher
        self._by = by
        self._ending = Event()
        self.worker = Worker(f"collect {service.name}", self._collect)

    def ask_to_end(self) -> None:
        self._ending.set()

    def _collect(self) -> None:
        """Publish at every interval, and at the end, what was scraped since the last time."""
        name, collector, clock = self.service.name, self.collector, self._clock
        listing = Trouble(name, "what lists its targets makes sense again.")
        standing = Standing(self.service, clock.now_ms(), self._by)
        collector.start()
        due_s = clock.monotonic_s()
        ending = False
        while not ending:
            ending = self._ending.wait(max(0.0, due_s - clock.monotonic_s()))
            if ending:
                collector.close()  # first, for what ends after the last tick would be lost
            tick = collector.tick(clock.now_ms())
            listing.now("; ".join(collector.scrapes.troubles))
            for news in (tick.series, *tick.samples):
                standing.take(news)
            for message in messages_of(name, tick, standing.now(collector.targets(), clock.now_ms())):
                self._publisher.publish(*message)
            due_s = max(collector.next_due_s(due_s), clock.monotonic_s())


def messages_of(service: str, tick: Tick, targets: TargetSet | None) -> Iterator[Outgoing]:
    """What a tick puts on the bus: series, and how the targets are if that is news, ahead of the samples."""
    if tick.series is not None:
        yield Outgoing("series", service, tick.series)
    if targets is not None:
        yield Outgoing("targets", service, targets)
    for samples in tick.samples:
        yield Outgoing("samples", service, samples)
    for mark in tick.marks:
        yield Outgoing("marks", service, mark)


@dataclass(slots=True)
class Losses:
    """What was lost of scrapes, by reason or by service."""

    failed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)

    def add(self, scrapings: Iterable[Scraping]) -> None:
        """Count theirs, too. They are copied first, since their own threads go on counting."""
        for scraping in scrapings:
            counters = scraping.collector.counters
            self.failed.update(dict(counters.scrapes_failed))
            self.missed[scraping.service.name] += scraping.collector.scrapes.missed
            self.unreadable.update(dict(counters.rows_unreadable))


class Scrapings:
    """The services that are scraped at the moment; begun and ended by one thread, looked at by any."""

    def __init__(self, clock: Clock, publisher: Publisher, by: str) -> None:
        self._clock = clock
        self._publisher = publisher
        self._by = by
        self._loop = ScrapeLoop()
        self._scraped: dict[str, Scraping] = {}
        self._past = Losses()
        self._tenures: dict[str, Tenure] = {}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(list(self._scraped))

    def begin(self, services: Iterable[WatchedService]) -> None:
        """Scrape these from now on; of those that are scraped nothing changes."""
        for service in services:
            if service.name not in self._scraped:
                scraping = Scraping(service, self._clock, self._loop, self._publisher, self._by)
                self._scraped[service.name] = scraping
                self._tenures[service.name] = Tenure(self._clock.now_ms())
                scraping.worker.start()

    def tenures(self) -> Mapping[str, Tenure]:
        """When each service was scraped the last time."""
        return self._tenures.copy()

    def check(self) -> None:
        """Raise what the thread of one died of, if it did."""
        for scraping in list(self._scraped.values()):
            scraping.worker.check()

    def ask_to_end(self) -> None:
        """Have all come to their end, without waiting."""
        for scraping in list(self._scraped.values()):
            scraping.ask_to_end()

    def end(self, names: Iterable[str]) -> None:
        """Publish what was scraped of these, which are another's now, and let go of them; of others, do nothing."""
        for name in self._end([self._scraped[name] for name in names if name in self._scraped]):
            self._tenures[name] = replace(self._tenures[name], ended_ms=self._clock.now_ms())

    def close(self) -> None:
        """Publish what was scraped, and let go of everything."""
        self._end(list(self._scraped.values()))
        self._loop.close()

    def losses(self) -> Losses:
        """What was lost so far, of those that have ended, too."""
        losses = deepcopy(self._past)
        losses.add(list(self._scraped.values()))
        return losses

    def _end(self, scrapings: Sequence[Scraping]) -> Sequence[str]:
        for scraping in scrapings:
            scraping.ask_to_end()
        ended([scraping.worker for scraping in scrapings], self._clock)
        for scraping in scrapings:
            scraping.collector.close()
            self._past.add([self._scraped.pop(scraping.service.name)])
        return [scraping.service.name for scraping in scrapings]
