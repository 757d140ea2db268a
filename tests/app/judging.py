"""Services that are scraped, processes of detectors that share them, and what one process would say of all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np

from detectors.stage import DetectorStage
from recwatch.app.runner import StageRunner
from recwatch.core.bus import Bus, Record
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.store import Store
from tests.fates import Died, Fate, FatedBus, FatedStore

LONG_S = 60.0
START_MS = 1_700_000_000_000
SERVICES = [f"service-{number}" for number in range(4)]
SIGNALS = ("requests_per_second", "latency_p99_seconds", "queue_depth")
TICKS = 48
SLOW = range(24, 36)
APART_S = 4.0
"""Wall clock between two ticks: memory is kept every eighth."""
make = partial(DetectorStage, dict.fromkeys(SERVICES, Objective(0.150)))
Row = tuple[int, int]
CORNERS = count()


def known(service: str) -> SeriesSet:
    return SeriesSet(service, tuple(canonical_series(service, name) for name in SIGNALS))


def tick(service: str, number: int) -> Samples:
    noise = np.random.default_rng([SERVICES.index(service), number]).standard_normal(2)
    slow = number in SLOW
    readings = (110.0 + 10.0 * noise[0], (0.4 if slow else 0.025) * (1.0 + 0.05 * noise[1]), 300.0 if slow else 0.0)
    ids = [series.id for series in known(service).series]
    return Samples.of(service, "", START_MS + 1000 * number, dict(zip(ids, readings, strict=True)))


@dataclass
class Outcome:
    """What was published: how often each reading was judged, what of it, and every anomaly as it was told."""

    rows: Counter[Row] = field(default_factory=Counter)
    values: dict[Row, set[float]] = field(default_factory=dict)
    anomalies: set[Anomaly] = field(default_factory=set)
    heard: Counter[str] = field(default_factory=Counter)

    def take(self, messages: Sequence[object]) -> None:
        for message in messages:
            if isinstance(message, Anomaly):
                self.anomalies.add(message)
            elif isinstance(message, Samples):
                last_ms = int(message.time_ms.max())
                self.heard[message.service] = max(self.heard[message.service], (last_ms - START_MS) // 1000 + 1)
                for row in zip(message.series_id.tolist(), message.time_ms.tolist(), message.value.tolist(), strict=True):
                    self.rows[row[:2]] += 1
                    self.values.setdefault(row[:2], set()).add(row[2])


class Fleet:
    """Services that are scraped, whoever judges them."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self.clock = FakeClock()
        self.outcome = Outcome()
        self.members: list[Member] = []
        self._bus = bus
        self._store = store
        self._corner = f"{next(CORNERS)} "
        self._reader = bus.subscribe("reader", ["judgements", "anomalies"])
        bus.subscribe("detectors", ["series", "samples"]).close()
        for service in SERVICES:
            bus.publish("series", service, known(service))

    def join(self, fate: Fate | None = None) -> Member:
        fate = fate or Fate()
        member = Member(FatedBus(self._bus, fate), FatedStore(self._store, fate, self._corner), self.clock)
        self.members.append(member)
        return member

    def scrape(self, numbers: Sequence[int]) -> None:
        """Publish these ticks of every service, and have them judged by whoever lives; who dies has an heir."""
        for number in numbers:
            for service in SERVICES:
                self._bus.publish("samples", service, tick(service, number))
        self.clock.advance(APART_S * len(numbers))
        self.until_judged(numbers[-1])

    def until_judged(self, number: int) -> None:
        deadline = time.monotonic() + LONG_S
        while not all(self.outcome.heard[service] > number for service in SERVICES) and time.monotonic() < deadline:
            self.step()
            self.read()
        assert [service for service in SERVICES if self.outcome.heard[service] <= number] == []

    def step(self) -> None:
        """One step of every member, beside each other; who dies has an heir."""
        members = list(self.members)
        with ThreadPoolExecutor(len(members)) as threads:
            died = list(threads.map(Member.dies, members))
        for member in (member for member, dead in zip(members, died, strict=True) if dead):
            self.members.remove(member)
            self.join()

    def read(self) -> None:
        self.outcome.take([record.message for record in self._reader.poll(0.0)])


class Member:
    """One process of detectors."""

    def __init__(self, bus: FatedBus, store: FatedStore, clock: FakeClock) -> None:
        self.bus = bus
        self.store = store
        self.runner = StageRunner(make(), bus, clock, store, again=make)

    def dies(self) -> bool:
        """Do one step; True if it was the last."""
        try:
            self.runner.step(0.02)
        except Died:
            self.bus.gone()
            return True
        return False


def assert_as_expected(outcome: Outcome, expected: Outcome, most_repeated: int) -> None:
    assert outcome.values == expected.values
    assert outcome.anomalies == expected.anomalies
    assert outcome.rows.total() - expected.rows.total() <= most_repeated


def rows_of(expected: Outcome, ticks: int) -> int:
    """The most rows that are said of so many ticks in a row, of all services."""
    at = Counter((time_ms - START_MS) // 1000 for _, time_ms in expected.rows)
    return max(sum(at[number] for number in range(start, start + ticks)) for start in range(TICKS))


def judged_by_one() -> Outcome:
    """What one stage says that is given one record at a time."""
    stage, outcome = make(), Outcome()
    messages = [known(service) for service in SERVICES] + [tick(s, number) for number in range(TICKS) for s in SERVICES]
    for message in messages:
        topic = "series" if isinstance(message, SeriesSet) else "samples"
        said = stage.process([Record(topic, 0, 0, message.service, message)], START_MS)
        outcome.take([outgoing.message for outgoing in said])
    assert {a.method for a in outcome.anomalies} >= {"objective", "robust_band"}
    assert len({a.id for a in outcome.anomalies}) == len(outcome.anomalies) / 2
    return outcome
