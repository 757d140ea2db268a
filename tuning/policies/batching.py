"""A larger batch for a server whose queue outgrows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from recwatch.core.events import Cause, Evidence, MarkKind
from recwatch.core.proposals import Interval, Prediction
from tuning.actuators import Knob
from tuning.intervals import Intervals
from tuning.model import BatchTime, Load, batch_time, offered_load
from tuning.policies.policy import Candidate, NoChange, View
from tuning.simulation import Batcher, simulate

KNOB = "max_batch"
LOAD_INTERVALS = 5
HISTORY_MS = 120_000
ONSET_MS = 10_000
SIMULATED_REQUESTS = 8_000
P99_REQUESTS = 500
NEARLY = 1.1
"""Sizes whose pessimistic utilisation is within a tenth of the least are equally safe."""
NEW_BATCH_TIME: tuple[MarkKind, ...] = ("deploy", "restart")
NEW_TAIL: tuple[MarkKind, ...] = ("deploy", "restart", "knob_change")


@dataclass(frozen=True, slots=True)
class Server:
    """The service as the policy understands it. `tail_s` is the measured p99 that the simulation does not explain."""

    time: BatchTime
    load: Load
    replicas: int
    delay_s: float = 0.0
    queue_limit: int | None = None
    tail_s: float = 0.0

    def batcher(self, max_batch: int, beta_s: float) -> Batcher:
        alpha_s = self.time.alpha_s(beta_s)
        return Batcher(max_batch, alpha_s, beta_s, self.replicas, self.time.cv, self.delay_s, self.queue_limit)

    def utilisation(self, max_batch: int) -> float:
        """Load over capacity with full batches; may exceed 1."""
        return self._utilisation(max_batch, self.load.offered_rps.mid, self.time.beta_s.mid)

    def pessimistic_utilisation(self, max_batch: int) -> float:
        """The same at the most load and the steepest batch time that are credible."""
        return self._utilisation(max_batch, self.load.offered_rps.high, self.time.beta_s.high)

    def _utilisation(self, max_batch: int, offered_rps: float, beta_s: float) -> float:
        return self.load.batched_rps(offered_rps) / self.batcher(max_batch, beta_s).capacity_rps

    def p99_s(self, max_batch: int, offered_rps: float, beta_s: float) -> float:
        """Simulated p99 of all requests; nothing but time and seed of the run bounds it above capacity."""
        batcher = self.batcher(max_batch, beta_s)
        latency = simulate(batcher, self.load.batched_rps(offered_rps), SIMULATED_REQUESTS).latency_s
        return float(np.quantile(latency, self.load.batched_quantile)) + self.tail_s

    def predict(self, max_batch: int, quality: float | None) -> Prediction:
        """From the least load and the flattest batch time that are credible to the most load and the steepest."""
        offered, beta = self.load.offered_rps, self.time.beta_s
        cases = ((offered.low, beta.low), (offered.mid, beta.mid), (offered.high, beta.high))
        p99 = [1000.0 * self.p99_s(max_batch, rps, beta_s) for rps, beta_s in cases]
        answered = sorted(min(rps, self._capacity_rps(max_batch, beta_s)) for rps, beta_s in cases)
        return Prediction(
            Interval(min(p99), p99[1], max(p99)),
            Interval(*answered),
            Interval(1.0, 1.0, 1.0),
            None if quality is None else Interval(quality, quality, quality),
        )

    def _capacity_rps(self, max_batch: int, beta_s: float) -> float:
        missed = max(1e-3, 1.0 - self.load.hit_ratio)
        return self.batcher(max_batch, beta_s).capacity_rps / missed


class Batching(BaseModel):
    """Raises `max_batch` to the smallest power of two that surely meets the objective and leaves room for more load.

    While little is known of large batches none surely does; then it takes the safest of those that probably do, or at least
    possibly: a server that starts a batch as soon as it is free pays for a larger limit only when it needs it, and what
    does not help is rolled back. It changes nothing only where even the most favourable figures miss the objective.

    A larger batch spreads the fixed part of S(b) = alpha + beta b over more requests: capacity is replicas * b / S(b). Only
    full batches with waiting requests are a reason: head-room alone is none. `utilisation_limit` is the most of the capacity
    (0..1) that the present load may take after the change; `intervals` how many of the incident must have been seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.LOAD_SURGE, Cause.CAPACITY, Cause.BATCHING_MISFIT})

    utilisation_limit: float = Field(default=0.75, gt=0.0, lt=1.0)
    intervals: int = Field(default=3, ge=2)

    def propose(self, view: View) -> Candidate | NoChange:
        knob = view.knobs.get(KNOB)
        if knob is None or isinstance(knob.value, str):
            return NoChange(f"the service has no numeric knob {KNOB}, only {sorted(view.knobs)}")
        now = view.intervals.since(view.incident.start_ms).last(LOAD_INTERVALS)
        if len(now) < self.intervals:
            return NoChange(f"waiting for data: {len(now)} of {self.intervals} intervals since the incident started")
        evidence = bottleneck(now, knob.value)
        if isinstance(evidence, NoChange):
            return evidence
        server = understand(view, now, int(knob.value))
        return server if isinstance(server, NoChange) else self._least(view, now, knob, server, evidence)

    def _least(
        self, view: View, now: Intervals, knob: Knob, server: Server, evidence: tuple[Evidence, ...]
    ) -> Candidate | NoChange:
        """The smallest size that surely meets the objective; else the safest that probably, else that possibly, does."""
        objective_ms = 1000.0 * view.objective.latency_p99_seconds
        quality = now.mean("answer_quality_ratio")
        probable: list[tuple[float, int, Prediction]] = []
        possible: list[tuple[float, int, Prediction]] = []
        for max_batch in larger_sizes(knob):
            predicted = server.predict(max_batch, quality)
            p99_ms, roomy = predicted.p99_ms, server.utilisation(max_batch) <= self.utilisation_limit
            if roomy and p99_ms.high <= objective_ms:
                return _candidate(server, knob, max_batch, predicted, evidence)
            if roomy and p99_ms.mid <= objective_ms:
                probable.append((server.pessimistic_utilisation(max_batch), max_batch, predicted))
            elif p99_ms.low <= objective_ms:
                possible.append((server.pessimistic_utilisation(max_batch), max_batch, predicted))
        if not (probable or possible):
            return self._infeasible(server, knob, objective_ms)
        _, max_batch, predicted = _nearly_safest(probable or possible)
        safest = _candidate(server, knob, max_batch, predicted, evidence)
        if predicted.p99_ms.mid <= objective_ms:
            return safest
        return replace(safest, reason=f"{safest.reason}; it may not be enough for the objective of {objective_ms:.0f} ms")

    def _infeasible(self, server: Server, knob: Knob, objective_ms: float) -> NoChange:
        most = max(larger_sizes(knob), default=int(knob.value))
        return NoChange(
            f"no {KNOB} from {knob.value} to {most} meets p99 {objective_ms:.0f} ms with utilisation at most "
            f"{self.utilisation_limit:.2f}: at {most} it is {server.utilisation(most):.2f}; the service needs more replicas"
        )


def _nearly_safest(sizes: list[tuple[float, int, Prediction]]) -> tuple[float, int, Prediction]:
    """The smallest of the sizes whose pessimistic utilisation (first column) is close to the least.

    Where even that is above 1, the queue's limit makes the p99 of all sizes alike, and tells nothing of which is safer.
    """
    least = min(utilisation for utilisation, _, _ in sizes)
    return next(size for size in sizes if size[0] <= NEARLY * least)


def bottleneck(now: Intervals, max_batch: float) -> tuple[Evidence, ...] | NoChange:
    """The evidence that the batch size limits the service: batches are full and requests wait longer than a batch takes."""
    size, wait, took = (
        now.mean(name) for name in ("batch_size_mean", "queue_wait_mean_seconds", "batch_duration_mean_seconds")
    )
    if size is None or wait is None or took is None:
        return NoChange("batch size, batch duration or queue wait of the service is not measured: no evidence on batching")
    if size < 0.9 * max_batch:
        return NoChange(f"batches are not full ({size:.1f} of {max_batch:g}): {KNOB} is not what limits the service")
    if wait < took:
        return NoChange(f"requests wait {1000 * wait:.1f} ms and a batch takes {1000 * took:.1f} ms: it does not queue")
    return (
        Evidence(f"batches are full: {size:.1f} of {max_batch:g}", "batch_size_mean", size, float(max_batch)),
        Evidence(
            f"requests wait {1000 * wait:.0f} ms for a batch that takes {1000 * took:.1f} ms",
            "queue_wait_mean_seconds",
            wait,
            took,
        ),
    )


def understand(view: View, now: Intervals, max_batch: int) -> Server | NoChange:
    """The server behind the figures: batch time from before and during the incident, load from now, tail from before."""
    end = float(view.intervals.time_ms[-1])
    time = batch_time(view.intervals.between(_unchanged_since(view, NEW_BATCH_TIME), end))
    load = offered_load(now)
    if time is None or load is None:
        return NoChange("no batches to learn the batch time from")
    server = Server(
        time,
        load,
        replicas=max(1, round(now.mean("replicas") or 1.0)),
        delay_s=(_number(view, "batch_delay_ms") or 0.0) / 1000.0,
        queue_limit=round(_number(view, "max_queue") or 0) or None,
    )
    before = view.intervals.between(_unchanged_since(view, NEW_TAIL), view.incident.start_ms - ONSET_MS)
    return replace(server, tail_s=_tail_s(before, server, max_batch))


def _number(view: View, knob: str) -> float | None:
    """The value of a knob that the service may or may not have."""
    value = view.knobs[knob].value if knob in view.knobs else None
    return None if isinstance(value, str) else value


def _unchanged_since(view: View, kinds: tuple[MarkKind, ...]) -> int:
    changes = [mark.time_ms for mark in view.marks if mark.kind in kinds and mark.time_ms <= view.intervals.time_ms[-1]]
    return max([view.incident.start_ms - HISTORY_MS, *changes])


def _tail_s(before: Intervals, server: Server, max_batch: int) -> float:
    """What the healthy service's p99 has over the simulated one: stages and disturbances that the model leaves out."""
    load, p99s = offered_load(before), before.p99s(P99_REQUESTS)
    if load is None or not p99s:
        return 0.0
    healthy = replace(server, load=load)
    explained = healthy.p99_s(max_batch, load.offered_rps.mid, server.time.beta_s.mid)
    return max(0.0, float(np.median(p99s)) - explained)


def larger_sizes(knob: Knob) -> Iterator[int]:
    """Powers of two above the knob's value that it allows.

    >>> list(larger_sizes(Knob(3, low=1, high=20)))
    [4, 8, 16]
    """
    size = 1
    while size <= (knob.high or 0):
        if size > float(knob.value):
            yield size
        size *= 2


def _candidate(
    server: Server, knob: Knob, max_batch: int, predicted: Prediction, evidence: tuple[Evidence, ...]
) -> Candidate:
    beta, offered = server.time.beta_s, server.load.offered_rps
    reason = (
        f"{KNOB} {knob.value} → {max_batch}: utilisation {server.utilisation(int(knob.value)):.2f} → "
        f"{server.utilisation(max_batch):.2f} at {offered.mid:.0f} requests/s"
    )
    learnt = Evidence(
        f"a batch of b takes {1000 * server.time.alpha_s(beta.mid):.2f} + {1000 * beta.mid:.2f} b ms "
        f"(90 % of the belief in {1000 * beta.low:.2f} to {1000 * beta.high:.2f} ms a request)",
        "batch_duration_mean_seconds",
        server.time.seconds,
    )
    return Candidate(KNOB, knob.value, max_batch, predicted, reason, (*evidence, learnt))
