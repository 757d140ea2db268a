"""The embedded deployment: every role in this process, a thread each, joined by the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from threading import Event

from prometheus_client import CollectorRegistry

from alerting.explain import explain, series_named
from alerting.notifiers import Notifier, notifier_of
from alerting.outbox import Outbox, OutboxConfig
from alerting.stage import AlertingStage
from collectors.collector import Collector, Tick
from collectors.receive import Receiver
from collectors.scraping import ScrapeLoop
from detectors.stage import DetectorStage
from recwatch.app.access import keep_token
from recwatch.app.api import create_api
from recwatch.app.config import Config, WatchedService
from recwatch.app.live import LiveView
from recwatch.app.remote_write import receiving_of
from recwatch.app.restart import prime, resume
from recwatch.app.runner import StageRunner
from recwatch.app.server import Server
from recwatch.app.standing import Standing
from recwatch.app.telemetry import ObjectiveCollector, SignalCollector, TotalCollector
from recwatch.app.threads import Trouble, Worker
from recwatch.app.totals import totals_of
from recwatch.app.view import ApiView
from recwatch.client import Explained, TargetStatus
from recwatch.core.bus.registry import open_bus
from recwatch.core.bus.spool import Spool
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.events import Anomaly, Incident, Silence
from recwatch.core.objective import Objective
from recwatch.core.proposals import Hold
from recwatch.core.signals import Samples
from recwatch.core.stage import Outgoing, Stage
from recwatch.core.store import open_store
from recwatch.core.store.sink import Sink
from recwatch.core.targets import TargetSet
from tuning.stage import TuningStage

BUS_FULL_S = 1.0
THREADS_END_S = 1.5
RECEIVE_TICK_S = 1.0


class Pipeline:
    """Collectors, stages and API over one bus and one store. What it opened in its constructor, `stop` closes.

    `notifiers` are told of incidents beside those that the configuration names. The constructor raises BadInput or
    Unavailable, and leaves nothing open, where a port is taken, or a store, a token file or a notifier cannot be used.
    """

    def __init__(self, config: Config, clock: Clock, notifiers: Mapping[str, Notifier] | None = None) -> None:
        self._config = config
        self._clock = clock
        self._stopping = Event()
        self._workers: list[Worker] = []
        self._scraped = dict.fromkeys((service.name for service in config.services), 0)
        objectives = {s.name: s.objective.objective() for s in config.services if s.objective}
        told = {f"{n.type}-{i}": notifier_of(n) for i, n in enumerate(config.notify)} | dict(notifiers or {})
        self.live = LiveView()
        with ExitStack() as opened:
            self.outbox = opened.enter_context(closing(Outbox(told, OutboxConfig(console_url=config.console_url))))
            self._server = Server("127.0.0.1", config.api.port)
            opened.callback(self._server.stop)
            self.store = opened.enter_context(closing(open_store(config.store)))
            self.bus = opened.enter_context(closing(open_bus(config.bus, BUS_FULL_S)))
            self.spool = opened.enter_context(closing(Spool(config.spool.folder, self.bus, config.spool.max_bytes)))
            tuned = {s.name: s.tuning for s in config.services if s.tuning}
            self.tuning = opened.enter_context(closing(TuningStage(tuned, objectives)))
            loop = opened.enter_context(closing(ScrapeLoop()))
            self._collectors = [
                (service, opened.enter_context(closing(Collector(service, clock, loop))))
                for service in config.services
                if service.scraped
            ]
            self._receiving = receiving_of(config, clock, self._received, self.store)
            self.sink = Sink(self.store)
            detect = partial(DetectorStage, objectives, config.detection)
            alert = partial(AlertingStage, objectives)
            detection, alerting = detect(), alert()
            whole: tuple[Stage, ...] = (self.tuning, self.outbox, self.live, self.sink)
            self._runners = [
                self._runner(detection, detect),
                self._runner(alerting, alert),
                *map(self._runner, whole),
            ]
            prime(self.live, self.store, self._scraped.keys(), clock.now_ms())
            if not self.bus.durable:
                resume(detection, alerting, self.live, self._scraped.keys(), clock.now_ms())
            self.token = keep_token(config.token_file)
            self._api = create_api(self._view(objectives), self.token, self._receiving)
            opened.callback(self._finish)
            self._opened = opened.pop_all()
        self.url = self._server.url

    def _runner(self, stage: Stage, again: Callable[[], Stage] | None = None) -> StageRunner:
        return StageRunner(stage, self.bus, self._clock, self.store, again=again)

    def _view(self, objectives: Mapping[str, Objective]) -> ApiView:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(SignalCollector(self.live, self._clock, self.targets))
        registry.register(TotalCollector(self.totals))
        view = ApiView(
            bus=self.bus,
            store=self.store,
            live=self.live,
            clock=self._clock,
            registry=registry,
            objectives=objectives,
            targets=self.targets,
            holds=self.holds,
            explain=self.explain,
        )
        registry.register(ObjectiveCollector(view.services))
        return view

    def start(self) -> None:
        """Start every thread and return."""
        receivers = [self._receiving.receiver] if self._receiving else []
        self._workers = [
            Worker("api", partial(self._server.serve, self._api)),
            *(Worker(runner.stage.name, partial(self._drive, runner)) for runner in self._runners),
            Worker("spool", self._replay),
            *(Worker(f"collect {s.name}", partial(self._collect, s, c)) for s, c in self._collectors),
            *(Worker("receive", partial(self._receive, receiver)) for receiver in receivers),
        ]
        for worker in self._workers:
            worker.start()

    def check(self) -> None:
        """Raise what a thread died of, if one did."""
        for worker in self._workers:
            if worker.died_of is not None:
                raise worker.died_of

    def stop(self) -> None:
        """Stop scraping, handle what is on the bus, store everything, and let go of all that was opened.

        Raises Unavailable where the store does not take the rest; everything is let go of all the same.
        """
        self._stopping.set()
        self._opened.close()

    def _finish(self) -> None:
        """Let the threads end, and bring the stages to theirs; a stage that died or is stuck is left as it is."""
        self._server.stop()
        until_s = self._clock.monotonic_s() + THREADS_END_S
        for worker in self._workers:
            worker.join(max(0.0, until_s - self._clock.monotonic_s()))
        lost = {worker.name for worker in self._workers if worker.is_alive() or worker.died_of}
        with ExitStack() as closings:
            sound = [runner for runner in self._runners if runner.stage.name not in lost]
            for runner in reversed(sound):
                closings.callback(runner.close)
            for runner in sound:
                runner.drain()

    def _drive(self, runner: StageRunner) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(runner.step())

    def _collect(self, service: WatchedService, collector: Collector) -> None:
        """Publish at every interval, and at the end, what was scraped since the last time."""
        listing = Trouble(service.name, "what lists its targets makes sense again.")
        standing = Standing(service, self.live.recent)
        collector.start()
        due_s = self._clock.monotonic_s()
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(max(0.0, due_s - self._clock.monotonic_s()))
            tick = collector.tick(self._clock.now_ms())
            listing.now("; ".join(collector.scrapes.troubles))
            for message in messages_of(service.name, tick, standing.now(collector.targets())):
                self._publish(message)
            due_s = max(collector.next_due_s(due_s), self._clock.monotonic_s())

    def _receive(self, receiver: Receiver) -> None:
        """Publish the signals of what was received, interval by interval."""
        bus = Trouble("receive", "the bus has room again.")
        standings = {s.name: Standing(s, self.live.recent) for s in self._config.services if s.receive}
        while not self._stopping.wait(RECEIVE_TICK_S):
            try:
                receiver.tick()
            except Unavailable as error:
                bus.now(str(error))
            else:
                bus.now("")
            for name, targets in receiver.targets().items():
                if (now := standings[name].now(targets)) is not None:
                    self._publish(Outgoing("targets", name, now))

    def _received(self, topic: str, key: str, message: object) -> None:
        self.bus.publish(topic, key, message)
        self._count(key, message)

    def _count(self, service: str, message: object) -> None:
        if isinstance(message, Samples):
            self._scraped[service] += len(message)

    def _publish(self, message: Outgoing) -> None:
        self.spool.publish(*message)
        self._count(message.key, message.message)

    def _replay(self) -> None:
        """Publish what waits on disk, whenever the bus takes it."""
        bus, disk = Trouble("bus", "it has taken all that waited."), Trouble("spool", "it keeps everything again.")
        while not self._stopping.is_set():
            pause_s = self.spool.replay()
            bus.now(self.spool.bus_trouble)
            disk.now(self.spool.disk_trouble)
            self._stopping.wait(pause_s)

    def samples_scraped(self) -> int:
        """Samples that the collectors published."""
        return sum(self._scraped.values())

    def samples_stored(self) -> int:
        """Samples of the collectors that the store has taken."""
        return self.sink.samples_stored["samples"]

    def alerts_sent(self) -> int:
        """Messages that notifiers have accepted."""
        return sum(self.outbox.alerts_sent.values())

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        """What the parts have counted, by metric."""
        collectors = {service.name: collector for service, collector in self._collectors}
        receiver = self._receiving.receiver if self._receiving else None
        waited = {"recwatch_spool_samples": self.spool.spooled, "recwatch_spool_dropped_samples": self.spool.dropped}
        return {**totals_of(self._runners, self.outbox, self.sink, collectors, receiver), **waited}

    def targets(self) -> tuple[TargetStatus, ...]:
        """How every target answered its last scrape, by recwatch or by its Prometheus."""
        found = {service.name: collector.targets() for service, collector in self._collectors}
        found |= self._receiving.receiver.targets() if self._receiving else {}
        return tuple(
            TargetStatus(service, t.url, t.kind or "", t.up, t.last_scrape_ms, t.last_error or "")
            for service, targets in found.items()
            for t in targets
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
