"""All of a service's world → one tick of samples: raw ones by target, and the canonical signals of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from collectors.config import ServiceConfig
from collectors.endpoint import Endpoint
from collectors.fleet import Fleet
from collectors.machine import Machine
from collectors.measures import Key, Reading
from collectors.nvml import GpuDriver, Nvml
from collectors.scraping import ScrapeLoop, Scrapes, offset_s, quiet_offset_s
from collectors.target import CollectorCounters, Target, TargetStatus, joined
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import Clock
from recwatch.core.events import Mark
from recwatch.core.signals import Samples, Series, SeriesSet

STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """What one interval brought.

    `series`, set when there are new ones, is every series so far of the service and of the targets that are still listed;
    `samples` holds a batch for each target and one, of target "", for the canonical signals.
    """

    series: SeriesSet | None
    samples: tuple[Samples, ...]
    marks: tuple[Mark, ...]


@dataclass(slots=True)
class Announced:
    """The series of one target so far, by id, and those that it had when last looked at."""

    series: dict[int, Series] = field(default_factory=dict)
    last: tuple[Series, ...] = ()

    def add(self, now: tuple[Series, ...]) -> bool:
        """Take note of the series that it has now; returns whether any is new."""
        if now is self.last:
            return False
        known, self.last = len(self.series), now
        self.series |= {series.id: series for series in now}
        return len(self.series) > known


class Collector:
    """Measures one service. `tick` is called once an interval, by one thread; `targets` may be asked by any.

    Targets are scraped on `loop` at moments of their own: spread over the interval once `start` was called, or all at once
    whenever `scrapes.once` is. A target that is down or gives an unusable page is marked so, counted, and tried again; the
    others are not touched by it. `gpus` reads the GPUs of this machine where the configuration asks for it.
    """

    def __init__(self, config: ServiceConfig, clock: Clock, loop: ScrapeLoop, gpus: GpuDriver | None = None) -> None:
        self._config = config
        self._clock = clock
        self._service = config.name
        self._stale_ms = round(STALE_INTERVALS * config.scrape_interval * 1000)
        self.counters = CollectorCounters()
        self.scrapes = Scrapes(config, clock, loop)
        self._targets: dict[Endpoint, Target] = {}
        self._fleet = Fleet()
        self._machine = Machine(config.host, (gpus or Nvml()) if config.nvml else None, self._stale_ms)
        self._canonical: dict[Key, Series] = {}
        self._known: dict[Endpoint, Announced] = {}
        self._last_ms: int | None = None

    def start(self) -> None:
        """Scrape from now on, each target at its moment of every interval."""
        self.scrapes.start()

    def next_due_s(self, due_s: float) -> float:
        """When the tick after that of `due_s` is due, both on the clock's monotonic time.

        It is an interval later, but for a shift to where few scrapes are under way, so that a tick has one of each target.
        """
        interval_s = self._config.scrape_interval
        wall_s = self._clock.now_ms() / 1000 + due_s - self._clock.monotonic_s()
        offsets = [offset_s(endpoint.url, interval_s) for endpoint in self.scrapes.endpoints]
        late_s = (wall_s - quiet_offset_s(offsets, interval_s) + interval_s / 2) % interval_s - interval_s / 2
        return due_s + interval_s - late_s

    def tick(self, time_ms: int) -> Tick:
        """What the scrapes that ended since the last tick brought, and the signals of the service at `time_ms` (unix time).

        A target whose scrape is still under way is in the next tick, perhaps twice. Signals that are not later than those of
        the last tick, because the clock stepped back, are left out and counted.
        """
        ended = self.scrapes.take()
        self._follow(self.scrapes.endpoints)
        absorbed = [
            (scrape.endpoint, self._targets[scrape.endpoint].absorb(scrape))
            for scrape in ended
            if scrape.endpoint in self._targets
        ]
        readings: dict[Endpoint, Reading] = {}
        for endpoint, found in absorbed:
            if found.reading is not None:
                readings[endpoint] = joined(readings[endpoint], found.reading) if endpoint in readings else found.reading
        signals = self._signals(time_ms, readings)
        series = self._announced(signals)
        marks = tuple(mark for _, found in absorbed for mark in found.marks)
        batches = [found.samples for _, found in absorbed if len(found.samples)]
        if self._last_ms is not None and time_ms <= self._last_ms:
            self.counters.ticks_dropped += 1
        elif signals:
            self._last_ms = time_ms
            values = {self._canonical[key].id: value for key, value in signals.items()}
            batches.append(Samples.of(self._service, "", time_ms, values))
        return Tick(series, tuple(batches), marks)

    def targets(self) -> tuple[TargetStatus, ...]:
        """How each target fares, as they are listed; then this machine's GPUs, under `nvml:`, if asked for."""
        scraped = tuple(target.status for target in tuple(self._targets.values()))
        return scraped if self._machine.status is None else (*scraped, self._machine.status)

    def close(self) -> None:
        """Break off what is under way."""
        self.scrapes.close()

    def _follow(self, endpoints: Sequence[Endpoint]) -> None:
        """Keep what is known of the targets that are still listed; one that is listed no more is no outage."""
        if tuple(self._targets) != endpoints:
            self._targets = {endpoint: self._targets.get(endpoint) or self._new(endpoint) for endpoint in endpoints}
            self._known = {endpoint: self._known.get(endpoint) or Announced() for endpoint in endpoints}

    def _new(self, endpoint: Endpoint) -> Target:
        honored = self._config.honor_timestamps
        return Target(self._service, endpoint, self._stale_ms, self.counters, honor_timestamps=honored)

    def _signals(self, time_ms: int, new: Mapping[Endpoint, Reading]) -> Mapping[Key, float]:
        signals = self._fleet.signals(time_ms, self._latest(time_ms, new))
        scraped = [target.status.up for target in self._targets.values() if target.scraped]
        if scraped:
            signals["targets_up_ratio", ()] = sum(scraped) / len(scraped)
        return signals | self._machine.signals(time_ms)

    def _latest(self, time_ms: int, new: Mapping[Endpoint, Reading]) -> list[Reading]:
        """The latest reading of each target that is not stale; a new one counts as of this tick."""
        latest = [
            replace(new[endpoint], time_ms=time_ms) if endpoint in new else target.reading
            for endpoint, target in self._targets.items()
            if target.reading is not None and 0 <= time_ms - target.reading.time_ms < self._stale_ms
        ]
        self.counters.stale_targets += len(self._targets) - len(latest)
        return [reading for reading in latest if reading is not None]

    def _announced(self, signals: Mapping[Key, float]) -> SeriesSet | None:
        """Every series so far, if there are any that were not announced before."""
        new = [known.add(self._targets[endpoint].series) for endpoint, known in self._known.items()]
        for name, labels in (unknown := signals.keys() - self._canonical.keys()):
            self._canonical[name, labels] = canonical_series(self._service, name, dict(labels))
        if not (any(new) or unknown):
            return None
        raw = (series for known in self._known.values() for series in known.series.values())
        return SeriesSet(self._service, (*raw, *self._canonical.values()))
