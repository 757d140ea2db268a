"""A recommender that batches, simulated request by request: its faults, its knobs, and what a scrape tells of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from collectors.fleet import Fleet
from collectors.measures import Key, Reading, canonical_le
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import Unavailable
from recwatch.core.proposals import KnobValue
from recwatch.core.signals import Series
from tuning.actuators import Knob

SERVICE = "shop"
GPU = (("emulated", "true"), ("gpu", "0"))
CLOCK_HERTZ = 1.41e9
LE_SECONDS = (*(0.001 * 1.25**power for power in range(42)), float("inf"))
MEAN_OTHER_STAGES_S = 0.001
BATCH_TIME_SHAPE = 50.0
"""Of a gamma distribution: a batch misses its mean time by a seventh."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: how long it took, and how long each of its requests had waited, in seconds."""

    seconds: float
    waits: tuple[float, ...]


@dataclass
class SimulatedService:
    """One replica before a bounded queue: a batch of b takes `alpha_s + beta_s * b`, times the slowness of the version.

    `slowdown` holds the GPU's clock down by that factor. `read` and `apply` are an actuator's, with `failures` refused calls
    ahead and, with `lose_answer`, one change whose answer is lost; `writes` are the changes made.
    """

    seed: int = 4
    load_rps: float = 110.0
    alpha_s: float = 0.0065
    beta_s: float = 0.00075
    slowness: Mapping[KnobValue, float] = field(default_factory=lambda: {"v1": 1.0, "v2": 3.0})
    slowdown: float = 1.0
    max_batch: int = 2
    version: str = "v1"
    queue_limit: int = 256
    writes: list[tuple[str, KnobValue]] = field(default_factory=list)
    failures: int = 0
    lose_answer: bool = False

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._fleet = Fleet()
        self._now_s = 0.0
        self._free_s = 0.0
        self._waiting: deque[float] = deque()

    def read(self) -> Mapping[str, Knob]:
        self._fail()
        return {
            "max_batch": Knob(self.max_batch, low=1, high=64),
            "model_version": Knob(self.version, choices=tuple(self.slowness)),
            "max_queue": Knob(self.queue_limit, low=1, high=4096),
        }

    def apply(self, knob: str, value: KnobValue) -> KnobValue:
        self._fail()
        self.writes.append((knob, value))
        if knob == "max_batch":
            self.max_batch = int(value)
        else:
            self.version = str(value)
        if self.lose_answer:
            self.lose_answer = False
            raise Unavailable("the answer was lost", 2.0)
        return value

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("nobody answers", 2.0)

    def tick(self, time_ms: int) -> dict[Series, float]:
        """The canonical signals that a scrape at `time_ms` makes of one more second."""
        start_s, self._now_s = self._now_s, self._now_s + 1.0
        arrivals = np.sort(self._random.uniform(start_s, self._now_s, self._random.poisson(self.load_rps)))
        shed, batches = self._serve(deque(arrivals.tolist()))
        reading = Reading(time_ms, tuple(self._levels(batches)), dict(self._growth(batches, shed)), interval_s=1.0)
        signals = {**self._fleet.signals(time_ms, [reading]), ("targets_up_ratio", ()): 1.0}
        return {canonical_series(SERVICE, name, dict(labels)): value for (name, labels), value in signals.items()}

    def _serve(self, arrivals: deque[float]) -> tuple[int, list[Batch]]:
        """How many arrivals found the queue full, and the batches that began in this second."""
        shed = 0
        batches = []
        while self._waiting or arrivals:
            start = max(self._free_s, (self._waiting or arrivals)[0])
            shed += self._admit(arrivals, min(start, self._now_s))
            if start >= self._now_s:
                break
            taken = [self._waiting.popleft() for _ in range(min(self.max_batch, len(self._waiting)))]
            seconds = self._batch_seconds(len(taken))
            batches.append(Batch(seconds, tuple(start - arrived for arrived in taken)))
            self._free_s = start + seconds
        return shed, batches

    def _admit(self, arrivals: deque[float], until_s: float) -> int:
        """Let in who arrives until then; returns how many were not, for as many as may wait already."""
        shed = 0
        while arrivals and arrivals[0] <= until_s:
            arrived = arrivals.popleft()
            if len(self._waiting) < self.queue_limit:
                self._waiting.append(arrived)
            else:
                shed += 1
        return shed

    def _batch_seconds(self, size: int) -> float:
        noise = self._random.gamma(BATCH_TIME_SHAPE, 1.0 / BATCH_TIME_SHAPE)
        return (self.alpha_s + self.beta_s * size) * self.slowness[self.version] * self.slowdown * noise

    def _levels(self, batches: list[Batch]) -> Iterator[tuple[Key, float]]:
        busy = min(1.0, sum(batch.seconds for batch in batches))
        yield ("queue_depth", ()), len(self._waiting)
        yield ("replicas", ()), 1.0
        yield ("answer_quality_ratio", ()), 0.93 + 0.01 * self._random.standard_normal()
        yield ("gpu_busy_ratio", GPU), busy
        yield ("gpu_sm_clock_hertz", GPU), CLOCK_HERTZ / self.slowdown
        yield ("gpu_power_watts", GPU), 55.0 + 245.0 * busy / self.slowdown**2 + self._random.standard_normal()

    def _growth(self, batches: list[Batch], shed: int) -> Iterator[tuple[Key, float]]:
        waits = np.array([wait for batch in batches for wait in batch.waits])
        spent = np.array([batch.seconds for batch in batches for _ in batch.waits])
        latency = waits + spent + self._random.exponential(MEAN_OTHER_STAGES_S, len(waits))
        seconds = sum(batch.seconds for batch in batches)
        yield ("requests", ()), len(waits) + shed
        yield ("requests_failed", ()), shed
        yield ("latency_seconds_sum", ()), latency.sum()
        yield ("latency_seconds_count", ()), len(waits)
        for le in LE_SECONDS:
            yield ("latency_seconds_bucket", (("le", canonical_le(str(le))),)), float(np.count_nonzero(latency <= le))
        yield ("stage_seconds_sum", (("stage", "queue"),)), waits.sum()
        yield ("stage_seconds_count", (("stage", "queue"),)), len(waits)
        yield ("batch_size_sum", ()), len(waits)
        yield ("batch_size_count", ()), len(batches)
        yield ("batch_seconds_sum", ()), seconds
        yield ("batch_seconds_count", ()), len(batches)
        yield ("replica_busy_seconds", ()), seconds
        yield ("gpu_throttled_seconds", GPU), float(self.slowdown > 1.0)
