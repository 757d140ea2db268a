"""The embedded deployment: every role in this process, a thread each, joined by the bus."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from prometheus_client import CollectorRegistry

from alerting.explain import explain, series_named
from alerting.notifiers import Notifier, notifier_of
from alerting.outbox import Outbox, OutboxConfig
from alerting.stage import AlertingStage
from collectors.collector import Collector, Tick
from detectors.stage import DetectorStage
from recwatch.app.access import write_token
from recwatch.app.api import create_api
from recwatch.app.config import Config, WatchedService
from recwatch.app.live import LiveView
from recwatch.app.runner import StageRunner
from recwatch.app.server import ApiServer
from recwatch.app.telemetry import SignalCollector
from recwatch.app.view import ApiView, prime
from recwatch.client import Explained, Hold, TargetStatus
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import Clock
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Anomaly, Incident, Silence
from recwatch.core.stage import Outgoing, Remembers, Stage
from recwatch.core.store import open_store
from recwatch.core.store.sink import Sink
from tuning.stage import TuningStage

logger = logging.getLogger(__name__)


class Pipeline:
    """Collectors, stages and API over one bus and one store. What it opened in its constructor, `stop` closes.

    `notifiers` are told of incidents beside those that the configuration names.
    """

    def __init__(self, config: Config, clock: Clock, notifiers: Mapping[str, Notifier] | None = None) -> None:
        self._config = config
        self._clock = clock
        self._stopping = Event()
        self._server = ApiServer(config.api.host, config.api.port)
        self.url = self._server.url
        self.token = write_token(config.token_file)
        self.store = open_store(config.store)
        self.bus = MemoryBus()
        self.live = LiveView()
        self.sink = Sink(self.store)
        objectives = {s.name: s.objective.objective() for s in config.services if s.objective}
        self.tuning = TuningStage({s.name: s.tuning for s in config.services if s.tuning}, objectives)
        told = {f"{n.type}-{i}": notifier_of(n) for i, n in enumerate(config.notify)} | dict(notifiers or {})
        self.outbox = Outbox(told, OutboxConfig(console_url=config.console_url))
        self._collectors = [Collector(service, clock) for service in config.services]
        stages: tuple[Stage, ...] = (
            DetectorStage(objectives, config.detection),
            AlertingStage(objectives),
            self.tuning,
            self.outbox,
            self.live,
            self.sink,
        )
        prime(self.live, self.store, clock.now_ms())
        self._runners = [self._runner(stage) for stage in stages]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(SignalCollector(self.live, clock, self.targets))
        view = ApiView(
            bus=self.bus,
            store=self.store,
            live=self.live,
            clock=clock,
            registry=registry,
            objectives=objectives,
            targets=self.targets,
            holds=self.holds,
            explain=self.explain,
        )
        self._api = create_api(view, self.token)
        self._threads = ThreadPoolExecutor(len(self._collectors) + len(self._runners) + 1, "recwatch")
        self._running: list[Future[None]] = []
        self._scraped = dict.fromkeys((service.name for service in config.services), 0)

    def _runner(self, stage: Stage) -> StageRunner:
        if isinstance(stage, Remembers) and (kept := self.store.load_snapshot(stage.name)) is not None:
            try:
                stage.restore(kept[1])
            except BadInput as error:
                logger.warning("%s begins anew: %s", stage.name, error)
        return StageRunner(stage, self.bus, self._clock, self.store.save_snapshot)

    def start(self) -> None:
        """Start every thread and return."""
        services = zip(self._config.services, self._collectors, strict=True)
        work: list[Callable[[], None]] = [lambda: self._server.serve(self._api)]
        work += [lambda r=runner: self._drive(r) for runner in self._runners]  # type: ignore[misc]
        work += [lambda s=service, c=collector: self._collect(s, c) for service, collector in services]  # type: ignore[misc]
        self._running = [self._threads.submit(task) for task in work]

    def check(self) -> None:
        """Raise what a thread died of, if one did."""
        for running in self._running:
            if running.done():
                running.result()

    def stop(self) -> None:
        """Stop scraping, handle what is on the bus, store everything, and let go of all that was opened."""
        self._stopping.set()
        self._server.stop()
        self._threads.shutdown(wait=True)
        for runner in self._runners:
            runner.drain()
        for runner in self._runners:
            runner.close()
        for collector in self._collectors:
            collector.close()
        self.tuning.close()
        self.bus.close()
        self.store.close()

    def _drive(self, runner: StageRunner) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(runner.step())

    def _collect(self, service: WatchedService, collector: Collector) -> None:
        due_s = self._clock.monotonic_s()
        while not self._stopping.wait(max(0.0, due_s - self._clock.monotonic_s())):
            tick = collector.tick(self._clock.now_ms())
            for message in messages_of(service.name, tick):
                self._publish(message)
            self._scraped[service.name] += sum(map(len, tick.samples))
            due_s = max(due_s + service.scrape_interval, self._clock.monotonic_s())

    def _publish(self, message: Outgoing) -> None:
        while not self._stopping.is_set():
            try:
                self.bus.publish(*message)
            except Unavailable as error:
                logger.warning("%s: %s", message.topic, error)
            else:
                return

    def samples_scraped(self) -> int:
        """Samples that the collectors published."""
        return sum(self._scraped.values())

    def samples_stored(self) -> int:
        """Samples of the collectors that the store has taken."""
        return self.sink.samples_stored["samples"]

    def alerts_sent(self) -> int:
        """Messages that notifiers have accepted."""
        return sum(self.outbox.alerts_sent.values())

    def targets(self) -> tuple[TargetStatus, ...]:
        """How every target answered its last scrape."""
        return tuple(
            TargetStatus(service.name, t.url, t.kind or "", t.up, t.last_scrape_ms, t.last_error or "")
            for service, collector in zip(self._config.services, self._collectors, strict=True)
            for t in collector.targets()
        )

    def holds(self) -> tuple[Hold, ...]:
        """Why nothing is being tuned."""
        return tuple(Hold(service, reason, self._clock.now_ms()) for service, reason in self.tuning.holds().items())

    def explain(self, service: str, series: str) -> Explained:
        """Why a series did or did not alarm."""
        recent = self.live.recent
        events = (self.live.events(Anomaly), self.live.events(Incident), self.live.events(Silence))
        found = explain(series_named(series, recent, service), recent, events, self._clock.now_ms())
        return Explained(found.series, found.verdict, found.sentences)


def messages_of(service: str, tick: Tick) -> Iterator[Outgoing]:
    """What a tick puts on the bus: series ahead of their samples."""
    if tick.series is not None:
        yield Outgoing("series", service, tick.series)
    for samples in tick.samples:
        yield Outgoing("samples", service, samples)
    for mark in tick.marks:
        yield Outgoing("marks", service, mark)
