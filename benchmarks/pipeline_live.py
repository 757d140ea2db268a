"""How long after its scrape a sample is judged, and stored, while a fleet is watched; each part a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from multiprocessing.connection import Connection as Line
from pathlib import Path
from threading import Thread

import numpy as np
from rich.console import Console

from benchmarks.child import child
from benchmarks.disk import FOREVER
from benchmarks.pipeline_drain import serving
from benchmarks.pipeline_fleet import Fleet
from benchmarks.report import Row
from detectors.stage import DetectorStage
from recwatch.app.runner import StageRunner
from recwatch.core.bus import Bus, next_offsets
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.clock import SystemClock
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Samples
from recwatch.core.store import Store
from recwatch.core.store.connection import parse_dsn
from recwatch.core.store.sink import FLUSH_S, Sink

LOOSE = Objective(latency_p99_seconds=100.0, errors_ratio=100.0)
TICKS = 50
WARM_TICKS = 20
"""Left out of the figures: everything is new in them."""
SETTLE_S = 1.0
"""What is not judged so long after the last tick counts as behind."""
Delays = list[tuple[int, float, int]]
"""Of batches: sample time, seconds until they were stored, rows."""


class Timed(Store):
    """A store that notes how old samples are once they are stored."""

    def __init__(self, dsn: str) -> None:
        super().__init__(parse_dsn(dsn), FOREVER)
        self.delays: Delays = []

    def write_samples(self, batches: Sequence[Samples], token: str) -> None:
        super().write_samples(batches, token)
        now_s = time.time()
        self.delays += [(int(b.time_ms[0]), now_s - int(b.time_ms[0]) / 1000, len(b)) for b in batches if len(b)]


def live(place: Brokers, folder: Path, fleet: Fleet, out: Console) -> Iterator[Row]:
    """Rows of a fleet that is watched for a while."""
    with ExitStack() as opened:
        bus = opened.enter_context(closing(kafka_bus(place)))
        dsn = opened.enter_context(serving(folder / "live"))
        fleet.define(bus)
        sink, detectors = (opened.enter_context(child(work, place, dsn, fleet)) for work in (_store, _detect))
        judged = _Judged(bus)
        sink.recv(), detectors.recv()
        publisher = opened.enter_context(child(_publish, place, fleet))
        with out.status(f"watching {fleet.samples:,} samples a second"):
            begin_ms: int = publisher.recv()
            publisher.recv()
            time.sleep(SETTLE_S)
            behind = fleet.services * TICKS - judged.count(begin_ms)
            time.sleep(FLUSH_S + SETTLE_S)
            sink.send("finish")
            delays: Delays = sink.recv()
        judged.close()
    since_ms = begin_ms + 1000 * WARM_TICKS
    stored = [(delay_s, rows) for time_ms, delay_s, rows in delays if time_ms >= since_ms]
    stored_s = np.repeat([delay_s for delay_s, _ in stored], [rows for _, rows in stored])
    yield Row("offered", fleet.samples, "samples/s", ">= 50000")
    for share, name, of_judged, of_stored in ((0.5, "median", None, None), (0.99, "p99", "<= 1", f"<= {FLUSH_S + 1:g}")):
        yield Row(f"scrape to judged, {name}", float(np.quantile(judged.delays_s(since_ms), share)), "s", of_judged)
        yield Row(
            f"scrape to stored, flushed every {FLUSH_S:g} s, {name}", float(np.quantile(stored_s, share)), "s", of_stored
        )
    yield Row(f"ticks of services not judged {SETTLE_S:g} s after the last", behind, "ticks", "<= 0")


class _Judged:
    """Reads what the detectors say, and notes when."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._seen: list[tuple[int, float]] = []
        self._ending = False
        self._reader = Thread(target=self._read)
        self._reader.start()

    def delays_s(self, since_ms: int) -> Float64:
        return np.array([at_s - time_ms / 1000 for time_ms, at_s in self._seen if time_ms >= since_ms])

    def count(self, since_ms: int) -> int:
        return sum(time_ms >= since_ms for time_ms, _ in self._seen)

    def close(self) -> None:
        self._ending = True
        self._reader.join()

    def _read(self) -> None:
        with closing(self._bus.subscribe("benchmark", ["judgements"])) as subscription:
            while not self._ending:
                records = subscription.poll(0.1)
                self._seen += [(int(t), time.time()) for record in records for t in np.unique(record.message.time_ms)]
                if records:
                    subscription.commit(next_offsets(records))


def _publish(place: Brokers, fleet: Fleet, line: Line) -> None:
    """Every service once a second, spread evenly over it, as soon as its scrape begins."""
    with closing(kafka_bus(place)) as bus:
        begin_ms = 1000 * round(time.time() + 2)
        line.send(begin_ms)
        collectors = [Thread(target=_collect, args=(bus, fleet, number, begin_ms)) for number in range(fleet.services)]
        for collector in collectors:
            collector.start()
        for collector in collectors:
            collector.join()
        line.send("done")


def _collect(bus: Bus, fleet: Fleet, number: int, begin_ms: int) -> None:
    name = fleet.names[number]
    for tick in range(TICKS):
        time_ms = begin_ms + 1000 * tick + 1000 * number // fleet.services
        time.sleep(max(0.0, time_ms / 1000 - time.time()))
        for samples in fleet.tick(name, tick, time_ms):
            bus.publish("samples", name, samples)


def _store(place: Brokers, dsn: str, fleet: Fleet, line: Line) -> None:  # noqa: ARG001  (as _detect is called)
    with closing(kafka_bus(place)) as bus, closing(Timed(dsn)) as store:
        runner = StageRunner(Sink(store), bus, SystemClock())
        _run(runner, line)
        line.send(store.delays)


def _detect(place: Brokers, dsn: str, fleet: Fleet, line: Line) -> None:
    make = partial(DetectorStage, dict.fromkeys(fleet.names, LOOSE))
    with closing(kafka_bus(place)) as bus, closing(Store(parse_dsn(dsn), FOREVER)) as store:
        _run(StageRunner(make(), bus, SystemClock(), store, again=make), line)


def _run(runner: StageRunner, line: Line) -> None:
    """Until told to finish; what is told first is that it has partitions."""
    while not runner.counts.rebalances:
        runner.step(0.1)
    line.send("ready")
    while not line.poll():
        time.sleep(runner.step())
    line.recv()
