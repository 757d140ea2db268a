"""All of a service's world → one tick of samples: raw ones by target, and the canonical signals of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.config import ServiceConfig
from collectors.fleet import Fleet
from collectors.machine import Machine
from collectors.measures import Key
from collectors.nvml import GpuDriver, Nvml
from collectors.scrape import Scraped, Scrapers
from collectors.target import CollectorCounters, Target, TargetStatus
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import Clock
from recwatch.core.events import Mark
from recwatch.core.signals import Samples, Series, SeriesSet

STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """What one interval brought. `series`, set when there are new ones, is every series of the service so far.

    `samples` holds a batch for each target and one, of target "", for the canonical signals.
    """

    series: SeriesSet | None
    samples: tuple[Samples, ...]
    marks: tuple[Mark, ...]


class Collector:
    """Measures one service. `tick` is called once an interval, by one thread; `targets` may be asked by any.

    A target that is down or gives an unusable page is marked so, counted, and tried again at the next tick; the others are
    not touched by it. `gpus` reads the GPUs of this machine where the configuration asks for it.
    """

    def __init__(self, config: ServiceConfig, clock: Clock, gpus: GpuDriver | None = None) -> None:
        self._service = config.name
        self._stale_ms = round(STALE_INTERVALS * config.scrape_interval * 1000)
        self.counters = CollectorCounters()
        self._targets = [Target(config.name, target, self._stale_ms, self.counters) for target in config.targets]
        self._scrapers = Scrapers(config, clock)
        self._fleet = Fleet()
        self._machine = Machine(config.host, (gpus or Nvml()) if config.nvml else None, self._stale_ms)
        self._canonical: dict[Key, Series] = {}
        self._seen: dict[str, tuple[Series, ...]] = {}
        self._known: dict[int, Series] = {}
        self._last_ms: int | None = None

    def tick(self, time_ms: int) -> Tick:
        """Scrape every target at once; returns after the timeout at the latest. `time_ms` is unix time.

        A tick that is not later than the last one that brought samples, because the clock stepped back, brings none and is
        counted. What it read is kept, so that the rates are right when time has caught up.
        """
        outcomes = self._scrapers.scrape()
        absorbed = [target.absorb(outcome, time_ms) for target, outcome in zip(self._targets, outcomes, strict=True)]
        signals = self._signals(time_ms, sum(isinstance(outcome, Scraped) for outcome in outcomes))
        series = self._announced(signals)
        marks = tuple(mark for _, found in absorbed for mark in found)
        if self._last_ms is not None and time_ms <= self._last_ms:
            self.counters.ticks_dropped += 1
            return Tick(series, (), marks)
        self._last_ms = time_ms
        readings = {self._canonical[key].id: value for key, value in signals.items()}
        canonical = Samples.of(self._service, "", time_ms, readings)
        return Tick(series, (*(samples for samples, _ in absorbed), canonical), marks)

    def targets(self) -> tuple[TargetStatus, ...]:
        """How each target fares, in the configured order; then this machine's GPUs, under `nvml:`, if asked for."""
        scraped = tuple(target.status for target in self._targets)
        return scraped if self._machine.status is None else (*scraped, self._machine.status)

    def close(self) -> None:
        """Let go of every connection."""
        self._scrapers.close()

    def _signals(self, time_ms: int, up: int) -> Mapping[Key, float]:
        readings = [target.reading for target in self._targets if target.reading is not None]
        fresh = [reading for reading in readings if 0 <= time_ms - reading.time_ms < self._stale_ms]
        self.counters.stale_targets += len(self._targets) - len(fresh)
        signals = self._fleet.signals(time_ms, fresh)
        signals["targets_up_ratio", ()] = up / len(self._targets)
        return signals | self._machine.signals(time_ms)

    def _announced(self, signals: Mapping[Key, float]) -> SeriesSet | None:
        """Every series so far, if there are any that were not announced before."""
        known = len(self._known)
        for target in self._targets:
            if target.series is not self._seen.get(target.url):
                self._seen[target.url] = target.series
                self._known |= {series.id: series for series in target.series}
        for key in signals.keys() - self._canonical.keys():
            series = canonical_series(self._service, key[0], dict(key[1]))
            self._canonical[key] = series
            self._known[series.id] = series
        return SeriesSet(self._service, tuple(self._known.values())) if len(self._known) > known else None
