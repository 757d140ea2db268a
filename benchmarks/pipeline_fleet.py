"""What the collectors of a fleet put on the bus: definitions first, then a message of every target and one of signals."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.detect_speed import signals_of
from recwatch.core.bus import Bus
from recwatch.core.signals import Float64, Samples, Series, SeriesSet, UInt64

VALUES = 8
"""So many ticks have readings of their own; then they come again."""


@dataclass(frozen=True)
class Fleet:
    """Services of some targets of some series each, beside the canonical signals of every service."""

    services: int
    targets: int
    series: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"shop-{number}" for number in range(self.services))

    @property
    def messages(self) -> int:
        """How many a tick of all services is."""
        return self.services * (self.targets + 1)

    @property
    def samples(self) -> int:
        """How many are in a tick of all services."""
        return sum(len(ids) for _, _, ids, _ in self._batches)

    def define(self, bus: Bus) -> None:
        """Publish the definitions of every service."""
        for name in self.names:
            raw = [one for number in range(self.targets) for one in self._of_target(name, number)]
            bus.publish("series", name, SeriesSet(name, (*signals_of(name), *raw)))

    def publish(self, bus: Bus, ticks: range, start_ms: int) -> None:
        """Publish these ticks, a second apart, the services side by side as their collectors do."""

        def all_of(name: str) -> None:
            for tick in ticks:
                for samples in self.tick(name, tick, start_ms + 1000 * tick):
                    bus.publish("samples", name, samples)

        with ThreadPoolExecutor(self.services) as collectors:
            list(collectors.map(all_of, self.names))

    def tick(self, service: str, number: int, time_ms: int) -> Iterator[Samples]:
        """What one scrape of all targets of a service brings, its signals last."""
        for name, target, ids, values in self._batches:
            if name == service:
                yield Samples(name, target, np.full(len(ids), time_ms), ids, values[number % VALUES])

    @cached_property
    def _batches(self) -> list[tuple[str, str, UInt64, Float64]]:
        """Service, target, series and readings of every message of a tick."""
        found = []
        for name in self.names:
            for number in range(self.targets):
                known, rng = self._of_target(name, number), np.random.default_rng(number)
                found.append((name, _url(name, number), _ids(known), _readings(rng, len(known))))
            signals = signals_of(name)
            found.append((name, "", _ids(signals), 10 + np.random.default_rng(1).standard_normal((VALUES, len(signals)))))
        return found

    def _of_target(self, service: str, number: int) -> list[Series]:
        url = _url(service, number)
        labels = {"job": service, "instance": url, "service": service}
        return [
            Series(f"shop_calls_{index // 20}_total", labels | {"method": f"m{index % 20}"}, "", "counter", service, url)
            for index in range(self.series)
        ]


def _url(service: str, number: int) -> str:
    return f"http://{service}:{8000 + number}/metrics"


def _ids(series: list[Series] | tuple[Series, ...]) -> UInt64:
    return np.array([one.id for one in series], dtype=np.uint64)


def _readings(rng: np.random.Generator, size: int) -> Float64:
    """A third counters, a third whole numbers, a third measured times."""
    third, shape = size // 3, (VALUES, size // 3)
    counters = rng.integers(0, 10**7, third) + np.cumsum(rng.integers(0, 500, shape), axis=0)
    times = rng.lognormal(-3, 1, (VALUES, size - 2 * third)).round(6)
    return np.concatenate([counters, rng.integers(0, 64, shape), times], axis=1)
