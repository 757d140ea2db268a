"""A discrete-event simulation of a dynamic batcher: what latency a load meets under given settings."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np

from recwatch.core.signals import Float64

WARM_UP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Batcher:
    """A first-come first-served queue before `replicas` workers, each taking at most `max_batch` requests at a time.

    A batch of b takes `alpha_s + beta_s * b` seconds on average, gamma-distributed with coefficient of variation `cv` (0 is
    constant, 1 exponential). A worker waits up to `delay_s` for its batch to fill. Who finds `queue_limit` waiting is shed.
    """

    max_batch: int
    alpha_s: float
    beta_s: float
    replicas: int = 1
    cv: float = 0.0
    delay_s: float = 0.0
    queue_limit: int | None = None

    @property
    def capacity_rps(self) -> float:
        """Requests per second with every batch full.

        >>> Batcher(max_batch=4, alpha_s=0.008, beta_s=0.0005, replicas=2).capacity_rps
        800.0
        """
        return self.replicas * self.max_batch / (self.alpha_s + self.beta_s * self.max_batch)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the answered requests met, in seconds and in order of arrival, the warm-up left out; and the share shed."""

    wait_s: Float64
    latency_s: Float64
    shed_ratio: float


def simulate(batcher: Batcher, load_rps: float, requests: int, seed: int = 0) -> Outcome:
    """`requests` Poisson arrivals at `load_rps` before an idle batcher. The same seed gives the same arrivals.

    Above capacity the queue grows as long as the run lasts (or to its limit), so the latencies are finite but not
    stationary.
    """
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1.0 / load_rps, requests)).tolist()
    factors = _factors(batcher, requests, random)
    accepted, starts, sizes = _serve(batcher, arrivals, factors.tolist())
    taken = np.asarray(sizes)
    spent = (batcher.alpha_s + batcher.beta_s * taken) * factors[: len(taken)]
    wait = np.repeat(starts, taken) - np.asarray(accepted)
    steady = slice(int(len(wait) * WARM_UP_SHARE), None)
    return Outcome(wait[steady], (wait + np.repeat(spent, taken))[steady], 1.0 - len(accepted) / requests)


def _factors(batcher: Batcher, batches: int, random: np.random.Generator) -> Float64:
    """The factor by which each batch misses its mean time."""
    if batcher.cv == 0.0:
        return np.ones(batches)
    shape = batcher.cv**-2
    return random.gamma(shape, 1.0 / shape, batches)


def _serve(batcher: Batcher, arrivals: list[float], factors: list[float]) -> tuple[list[float], list[float], list[int]]:
    """Who was let in, and start and size of each batch. Between two starts the queue only grows, so the last are shed."""
    limit = batcher.queue_limit or len(arrivals)
    free = [0.0] * batcher.replicas
    heapify(free)
    accepted: list[float] = []
    starts: list[float] = []
    sizes: list[int] = []
    served = seen = 0
    while served < len(accepted) or seen < len(arrivals):
        waiting = len(accepted) - served
        first = accepted[served] if waiting else arrivals[seen]
        start = max(free[0], first)
        if batcher.delay_s and waiting < batcher.max_batch:
            last = seen + batcher.max_batch - waiting - 1
            full = arrivals[last] if last < len(arrivals) else first + batcher.delay_s
            start = max(start, min(first + batcher.delay_s, full))
        now_seen = bisect_right(arrivals, start, seen)
        accepted += arrivals[seen : min(now_seen, seen + limit - waiting)]
        seen = now_seen
        size = min(batcher.max_batch, len(accepted) - served)
        heapreplace(free, start + (batcher.alpha_s + batcher.beta_s * size) * factors[len(sizes)])
        starts.append(start)
        sizes.append(size)
        served += size
    return accepted, starts, sizes
