"""Collecting from a fleet in a process of its own, with or without storing, and what that takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Event, Thread

import psutil

from benchmarks.child import child
from benchmarks.fleet_pages import SERIES
from collectors.collector import Collector, Tick
from collectors.config import ServiceConfig
from collectors.scraping import ScrapeLoop
from recwatch.app.runner import StageRunner
from recwatch.app.scraping import messages_of
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store
from recwatch.core.store.sink import Sink

SERVICES = 10
WARM_S = 10.0
MEASURED_S = 30.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What collecting took over the measured time."""

    cpu_s: float
    seconds: float
    samples: int
    missed: int
    bytes_a_series: float

    @property
    def cpu_ratio(self) -> float:
        return self.cpu_s / self.seconds

    @property
    def us_a_sample(self) -> float:
        return 1e6 * self.cpu_s / self.samples


class Collecting:
    """The process, seen from outside."""

    def __init__(self, told: Connection) -> None:
        self._told = told

    def wait_until_warm(self) -> None:
        """Wait until it begins to measure."""
        self._told.recv()

    def cost(self) -> Cost:
        """Wait for what it measured."""
        cost: Cost = self._told.recv()
        return cost


@contextmanager
def collecting(urls: Sequence[str], *, stored: bool) -> Iterator[Collecting]:
    """A process that collects from all these targets."""
    with (
        tempfile.TemporaryDirectory() as folder,
        child(_collect, urls, f"chdb://{folder}/store" if stored else None) as told,
    ):
        yield Collecting(told)


def _collect(urls: Sequence[str], dsn: str | None, told: Connection) -> None:
    clock, process = SystemClock(), psutil.Process()
    with ExitStack() as opened:
        publish = opened.enter_context(_storing(dsn, clock)) if dsn else None
        loop = opened.enter_context(closing(ScrapeLoop()))
        configs = [_config(number, urls[number::SERVICES]) for number in range(SERVICES)]
        collectors = {c.name: opened.enter_context(closing(Collector(c, clock, loop))) for c in configs}
        before_bytes = process.memory_info().rss
        for collector in collectors.values():
            collector.start()

        def collect_for(seconds: float) -> int:
            samples, due_s = 0, time.monotonic()
            ends_s = due_s + seconds
            while due_s < ends_s:
                for service, collector in collectors.items():
                    tick = collector.tick(clock.now_ms())
                    samples += sum(map(len, tick.samples))
                    if publish is not None:
                        publish(service, tick)
                due_s = max(due_s + 1.0, time.monotonic())
                time.sleep(max(0.0, due_s - time.monotonic()))
            return samples

        while sum(status.up for c in collectors.values() for status in c.targets()) < len(urls):
            collect_for(1.0)
        collect_for(WARM_S)
        told.send("warm")
        began_s, cpu_s, missed = time.monotonic(), time.process_time(), _missed(collectors.values())
        samples = collect_for(MEASURED_S)
        cpu_s, seconds = time.process_time() - cpu_s, time.monotonic() - began_s
        grown_bytes = process.memory_info().rss - before_bytes
        told.send(Cost(cpu_s, seconds, samples, _missed(collectors.values()) - missed, grown_bytes / (SERIES * len(urls))))


def _config(number: int, urls: Sequence[str]) -> ServiceConfig:
    return ServiceConfig.model_validate({"name": f"shop-{number}", "targets": list(urls)})


def _missed(collectors: Iterable[Collector]) -> int:
    """Scrapes that did not begin, or that failed."""
    return sum(c.scrapes.missed + c.counters.scrapes_failed.total() for c in collectors)


@contextmanager
def _storing(dsn: str, clock: SystemClock) -> Iterator[Callable[[str, Tick], None]]:
    """Bus, sink and store as recwatch joins them; what is yielded puts a tick on the bus."""
    bus, ending = MemoryBus(), Event()
    with closing(open_store(dsn)) as store:
        runner = StageRunner(Sink(store), bus, clock)

        def store_all() -> None:
            while not ending.is_set():
                runner.step()

        def publish(service: str, tick: Tick) -> None:
            for message in messages_of(service, tick, None):
                bus.publish(*message)

        storing = Thread(target=store_all)
        storing.start()
        try:
            yield publish
        finally:
            ending.set()
            storing.join()
