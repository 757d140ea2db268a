"""The role that reads the world: scrapes the services that are its share, and takes in what is sent to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from threading import Event

from collectors.collector import Collector, Tick
from collectors.scraping import ScrapeLoop
from recwatch.app.config import WatchedService
from recwatch.app.handled import Handled
from recwatch.app.publisher import Publisher
from recwatch.app.remote_write import Receiving, receiving_of
from recwatch.app.roles.role import Shared, Totals
from recwatch.app.standing import Standing
from recwatch.app.threads import Trouble, Worker, ended
from recwatch.core.bus import Position, next_offsets
from recwatch.core.bus.spool import Spool
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.stage import Outgoing
from recwatch.core.targets import TargetSet

GROUP = "collectors"
POLL_WAIT_S = 1.0
RECEIVE_TICK_S = 1.0


class Scraping:
    """One service, scraped by `worker` until it is asked to end."""

    def __init__(self, service: WatchedService, clock: Clock, loop: ScrapeLoop, publisher: Publisher) -> None:
        self.collector = Collector(service, clock, loop)
        self.service = service
        self._clock = clock
        self._publisher = publisher
        self._ending = Event()
        self.worker = Worker(f"collect {service.name}", self._collect)

    def ask_to_end(self) -> None:
        self._ending.set()

    def _collect(self) -> None:
        """Publish at every interval, and at the end, what was scraped since the last time."""
        name, collector, clock = self.service.name, self.collector, self._clock
        listing = Trouble(name, "what lists its targets makes sense again.")
        standing = Standing(self.service, clock.now_ms())
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


class CollectorsRole:
    """Scrapes each service whose key falls into a partition of `targets` that this member of the group owns.

    What the bus does not take waits in the spool; what is sent to recwatch does not, for its sender keeps it.
    What a Prometheus sends is taken in by whomever it sends it to. `stored` are the newest sample times, by series id, of
    what was received before.
    """

    groups: Sequence[str] = (GROUP,)

    def __init__(self, shared: Shared, stored: Mapping[int, int]) -> None:
        self._shared = shared
        received = [service for service in shared.config.services if service.receive]
        self._standings = {service.name: Standing(service, shared.clock.now_ms()) for service in received}
        self._scraped: dict[str, Scraping] = {}
        self._past = Losses()
        self._rebalances = 0
        self._joined = False
        self._trouble = Trouble("collectors", "it takes part again in sharing the services out.")
        with ExitStack() as opened:
            spool = shared.config.spool
            self._spool = opened.enter_context(closing(Spool(spool.folder, shared.bus, spool.max_bytes)))
            self._publisher = Publisher(self._spool.publish, shared.clock)
            self._loop = opened.enter_context(closing(ScrapeLoop()))
            self.receiving = receiving_of(shared.config, shared.clock, self._received, stored)
            self._subscription = shared.bus.subscribe(GROUP, ("targets",), self._take_on, self._give_up)
            self._opened = opened.pop_all()
        self._workers = [Worker("collectors", self._take_part), Worker("spool", self._replay)]
        if self.receiving is not None:
            self._workers.append(Worker("receive", partial(self._receive, self.receiving)))

    @property
    def handled(self) -> Mapping[str, Handled]:
        return {GROUP: self._publisher.handled}

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def check(self) -> None:
        for worker in (*self._workers, *(scraping.worker for scraping in list(self._scraped.values()))):
            worker.check()

    def lacks(self) -> str:
        return self._trouble.sentence or ("" if self._joined else "collectors have not joined their group yet")

    def stop(self) -> None:
        """Publish what was scraped, and leave the group."""
        for scraping in list(self._scraped.values()):
            scraping.ask_to_end()
        ended(self._workers, self._shared.clock)
        self._end(list(self._scraped.values()))
        self._subscription.close()
        self._opened.close()

    def samples_scraped(self) -> int:
        """Samples published."""
        return self._publisher.samples.total()

    def totals(self) -> Totals:
        losses = deepcopy(self._past)
        losses.add(list(self._scraped.values()))
        return {
            "recwatch_rebalances": {GROUP: self._rebalances},
            "recwatch_samples_published": self._publisher.samples,
            "recwatch_scrapes_failed": losses.failed,
            "recwatch_scrapes_missed": losses.missed,
            "recwatch_rows_unreadable": losses.unreadable,
            "recwatch_spool_samples": self._spool.spooled,
            "recwatch_spool_dropped_samples": self._spool.dropped,
            "recwatch_received_dropped": self.receiving.receiver.counters.dropped if self.receiving else {},
        }

    def _take_part(self) -> None:
        """Be a member of the group, which tells whose share which services are; what it reads is its own."""
        stopping = self._shared.stopping
        while not stopping.is_set():
            try:
                if records := self._subscription.poll(POLL_WAIT_S):
                    self._subscription.commit(next_offsets(records))
            except Unavailable as error:
                self._trouble.now(str(error))
                stopping.wait(error.retry_after_s)
            else:
                self._trouble.now("")
                self._joined = True

    def _take_on(self, positions: Sequence[Position]) -> None:
        """Scrape from now on the services of these partitions."""
        self._rebalances += 1
        for service in self._of(positions):
            if service.name not in self._scraped and not self._shared.stopping.is_set():
                scraping = Scraping(service, self._shared.clock, self._loop, self._publisher)
                self._scraped[service.name] = scraping
                scraping.worker.start()

    def _give_up(self, positions: Sequence[Position]) -> None:
        """Publish what was scraped of the services of these partitions, and let go of them, before another begins."""
        self._end([self._scraped[service.name] for service in self._of(positions) if service.name in self._scraped])

    def _of(self, positions: Sequence[Position]) -> list[WatchedService]:
        numbers = {position.partition for position in positions}
        services = self._shared.config.services
        return [s for s in services if s.scraped and self._shared.bus.partition_of(s.name) in numbers]

    def _end(self, scrapings: Sequence[Scraping]) -> None:
        for scraping in scrapings:
            scraping.ask_to_end()
        ended([scraping.worker for scraping in scrapings], self._shared.clock)
        for scraping in scrapings:
            scraping.collector.close()
            self._past.add([self._scraped.pop(scraping.service.name)])

    def _replay(self) -> None:
        """Publish what waits on disk, whenever the bus takes it."""
        bus, disk = Trouble("bus", "it has taken all that waited."), Trouble("spool", "it keeps everything again.")
        while not self._shared.stopping.is_set():
            pause_s = self._spool.replay()
            bus.now(self._spool.bus_trouble)
            disk.now(self._spool.disk_trouble)
            self._shared.stopping.wait(pause_s)

    def _receive(self, receiving: Receiving) -> None:
        """Publish the signals of what was received, interval by interval."""
        bus = Trouble("receive", "the bus has room again.")
        stopping, receiver = self._shared.stopping, receiving.receiver
        while not stopping.wait(RECEIVE_TICK_S):
            try:
                receiver.tick()
            except Unavailable as error:
                bus.now(str(error))
            else:
                bus.now("")
            for name, targets in receiver.targets().items():
                if (now := self._standings[name].now(targets, self._shared.clock.now_ms())) is not None:
                    self._publisher.publish("targets", name, now)

    def _received(self, topic: str, key: str, message: object) -> None:
        self._shared.bus.publish(topic, key, message)
        self._publisher.count(key, message)
        self._standings[key].take(message)


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
