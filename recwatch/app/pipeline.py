"""The embedded deployment: every role in this process, joined by the bus."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing

from alerting.notifiers import Notifier
from recwatch.app.api import create_api
from recwatch.app.config import Config
from recwatch.app.process import Process
from recwatch.app.remote_write import newest_received
from recwatch.app.restart import resume
from recwatch.app.roles.alerting import AlertingRole
from recwatch.app.roles.api import ApiRole
from recwatch.app.roles.collectors import CollectorsRole
from recwatch.app.roles.detectors import DetectorsRole
from recwatch.app.roles.role import Shared, Totals
from recwatch.app.roles.sink import SinkRole
from recwatch.app.roles.tuning import TuningRole
from recwatch.app.server import Server
from recwatch.app.unstored import keep_unstored
from recwatch.core.bus.registry import open_bus
from recwatch.core.clock import Clock
from recwatch.core.store import open_store

BUS_FULL_S = 1.0


class Pipeline:
    """All roles over one bus and one store. What it opened in its constructor, `stop` closes.

    `notifiers` are told of incidents beside those that the configuration names. The constructor raises BadInput or
    Unavailable, and leaves nothing open, where a port is taken, or a store, a token file or a notifier cannot be used.
    """

    def __init__(self, config: Config, clock: Clock, notifiers: Mapping[str, Notifier] | None = None) -> None:
        with ExitStack() as opened:
            server = Server("127.0.0.1", config.api.port)
            opened.callback(server.stop)
            self.store = opened.enter_context(closing(open_store(config.store)))
            self.bus = opened.enter_context(closing(open_bus(config.bus, BUS_FULL_S)))
            opened.callback(keep_unstored, self.bus, config.spool)
            shared = Shared(config, clock, self.bus)
            process = self._process = Process(shared, server, self.store)
            opened.callback(process.stop)
            # Whoever says something is stopped before those who hear it.
            self.sink = process.add(SinkRole(shared, self.store)).sink
            self._api = process.add(ApiRole(shared, self.store, process.registry))
            process.add(TuningRole(shared, self.store))
            self._alerting = process.add(AlertingRole(shared, self.store, notifiers))
            self._detectors = process.add(DetectorsRole(shared, self.store))
            self._collectors = process.add(CollectorsRole(shared, newest_received(config, clock, self.store)))
            self.live = self._api.live
            if not self.bus.durable:
                services = [service.name for service in config.services]
                resume(self._detectors.stage, self._alerting.stage, self.live, services, clock.now_ms())
            self._opened = opened.pop_all()
        self.token = self._api.token
        self.url = server.url

    def start(self) -> None:
        """Start every thread and return."""
        self._process.start(create_api(self._api.view, self._process.health, self.token, self._collectors.receiving))

    def check(self) -> None:
        """Raise what a thread died of, if one did."""
        self._process.check()

    def stop(self) -> None:
        """Stop scraping, handle what is on the bus, store everything, and let go of all that was opened.

        Raises Unavailable where the store does not take the rest; everything is let go of all the same, and what was
        scraped waits in the spool.
        """
        self._opened.close()

    def samples_scraped(self) -> int:
        """Samples that the collectors published."""
        return self._collectors.samples_scraped()

    def samples_stored(self) -> int:
        """Samples of the collectors that the store has taken."""
        return self.sink.samples_stored["samples"]

    def alerts_sent(self) -> int:
        """Messages that notifiers have accepted."""
        return sum(self.totals().get("recwatch_alerts_sent", {}).values())

    def totals(self) -> Totals:
        """What the roles have counted, by metric."""
        return self._process.totals()
