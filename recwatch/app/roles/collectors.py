"""The role that reads the world: scrapes the services that are its share, and takes in what is sent to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial

from recwatch.app.config import WatchedService
from recwatch.app.handled import Handled
from recwatch.app.publisher import Publisher
from recwatch.app.remote_write import Receiving, receiving_of
from recwatch.app.roles.role import Shared, Totals
from recwatch.app.scraping import Scrapings
from recwatch.app.share import Share
from recwatch.app.standing import Standing
from recwatch.app.tenure import by_another
from recwatch.app.threads import Trouble, Worker, ended
from recwatch.core.bus import Position, Subscription, next_offsets
from recwatch.core.bus.spool import Spool
from recwatch.core.bus.spool.measured import Measured
from recwatch.core.errors import Unavailable
from recwatch.core.wording import utc

GROUP = "collectors"
POLL_WAIT_S = 1.0
RECEIVE_TICK_S = 1.0


class CollectorsRole:
    """Scrapes each service whose key falls into a partition of `targets` that this member of the group owns.

    While there is no group to join, because the bus is away when it starts, or after the group took it for dead, it scrapes
    what was its share last.

    What the bus does not take waits in the spool; what is sent to recwatch does not, for its sender keeps it. Of what
    waited, nothing is handed on that another collector measured, too: each tells since when it scrapes a service. What a
    Prometheus sends is taken in by whomever it sends it to. `stored` are the newest sample times, by series id, of what was
    received before.
    """

    groups: Sequence[str] = (GROUP,)

    def __init__(self, shared: Shared, stored: Mapping[int, int]) -> None:
        self._shared = shared
        received = [service for service in shared.config.services if service.receive]
        self._waits_since_ms = shared.clock.now_ms()
        self._standings = {service.name: Standing(service, self._waits_since_ms) for service in received}
        self._subscription: Subscription | None = None
        self._owned: set[int] = set()
        self._rebalances = 0
        self._joined = False
        self._trouble = Trouble("collectors", "it takes part again in sharing the services out.")
        with ExitStack() as opened:
            spool = shared.config.spool
            self._spool = opened.enter_context(closing(Spool(spool.folder, shared.bus, spool.max_bytes, self._others)))
            self._share = Share(spool.folder)
            self._publisher = Publisher(self._spool.publish, shared.clock)
            self.receiving = receiving_of(shared.config, shared.clock, self._received, stored)
            opened.callback(self._leave)
            self._scrapings = opened.enter_context(closing(Scrapings(shared.clock, self._publisher, self._share.name)))
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
        for worker in self._workers:
            worker.check()
        self._scrapings.check()

    def lacks(self) -> str:
        if self._joined:
            return self._trouble.sentence
        scraped = ", ".join(sorted(self._scrapings.names))
        meanwhile = f"scrape what was theirs before ({scraped})" if scraped else "scrape nothing"
        why = f": {self._trouble.sentence}" if self._trouble.sentence else ""
        return f"collectors wait since {utc(self._waits_since_ms)} to learn their share, and {meanwhile} meanwhile{why}"

    def stop(self) -> None:
        """Publish what was scraped, and leave the group."""
        self._scrapings.ask_to_end()
        ended(self._workers, self._shared.clock)
        self._opened.close()

    def samples_scraped(self) -> int:
        """Samples published."""
        return self._publisher.samples.total()

    def totals(self) -> Totals:
        losses = self._scrapings.losses()
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
        """Be a member of the group, which tells whose share which services are."""
        stopping = self._shared.stopping
        while not stopping.is_set():
            try:
                self._attend()
            except Unavailable as error:
                self._trouble.now(str(error))
                if not self._joined:
                    self._begin([s for s in self._shared.config.services if s.name in self._share.services])
                stopping.wait(error.retry_after_s)
            else:
                self._trouble.now("")

    def _attend(self) -> None:
        """Take part once; what is read is its own. Once this collector has a share, what else it scraped is another's."""
        if self._subscription is None:
            self._subscription = self._shared.bus.subscribe(GROUP, ("targets",), self._take_on, self._give_up)
        if records := self._subscription.poll(POLL_WAIT_S):
            self._subscription.commit(next_offsets(records))
        if not self._joined and self._subscription.generation:
            self._scrapings.end(self._scrapings.names - {service.name for service in self._of(self._owned)})
            self._spool.ask_again()
            self._joined = True

    def _take_on(self, positions: Sequence[Position]) -> None:
        """Scrape from now on the services of these partitions."""
        self._rebalances += 1
        self._owned.update(position.partition for position in positions)
        mine = self._of(self._owned)
        self._share.keep([service.name for service in mine])
        self._begin(mine)
        self._spool.ask_again()

    def _give_up(self, positions: Sequence[Position]) -> None:
        """Publish what was scraped of the services of these partitions, and let go of them, before another begins.

        Where the group took this member for dead, nobody may have begun: they stay its share until it learns of another.
        """
        theirs = [service.name for service in self._of({position.partition for position in positions})]
        self._owned.difference_update(position.partition for position in positions)
        self._scrapings.end(theirs)
        self._spool.ask_again()
        if self._subscription is not None and self._subscription.generation:
            self._share.keep([service.name for service in self._of(self._owned)])
        else:
            self._joined, self._waits_since_ms = False, self._shared.clock.now_ms()

    def _begin(self, services: Sequence[WatchedService]) -> None:
        if not self._shared.stopping.is_set():
            self._scrapings.begin(service for service in services if service.scraped)

    def _of(self, numbers: set[int]) -> Sequence[WatchedService]:
        """The services of these partitions that are scraped."""
        services = self._shared.config.services
        return [s for s in services if s.scraped and self._shared.bus.partition_of(s.name) in numbers]

    def _others(self) -> Mapping[str, Measured]:
        """What others measure of the services, as far as is known on the bus."""
        now_ms, tenures = self._shared.clock.now_ms(), self._scrapings.tenures()
        told = {record.key: record.message for record in self._shared.bus.kept("targets")}
        known = {n: by_another(told.get(n), self._share.name, tenures.get(n), now_ms) for n in told.keys() | tenures.keys()}
        return {name: measured for name, measured in known.items() if measured is not None}

    def _leave(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

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
        """Publish what was received, or raise Unavailable."""
        self._shared.bus.publish(topic, key, message)
        self._publisher.count(key, message)
        self._standings[key].take(message)
