"""Two weeks of a recommender's minutes: load, cache, promotions, deploys, and the latency that its batcher makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recwatch.core.signals import Float64
from tuning.simulation import Batcher, simulate

MINUTES_A_DAY = 1440
DAYS = 14
MINUTES = DAYS * MINUTES_A_DAY
STEP_S = 60.0

BATCHER = Batcher(max_batch=16, alpha_s=0.0065, beta_s=0.00075, cv=0.14)
"""The reference recommender's replica: a batch of b takes 6.5 ms + 0.75 ms × b."""
BUSIEST_RATIO = 0.9
CACHE_SECONDS = 0.0005
LOADS = 24
REQUESTS = 60_000
"""Simulated for each point of the curve of latency over load."""

BASE_RPS = 220.0
USUAL_HIT_RATIO = 0.6
COLD_HIT_RATIO = 0.25
WARM_UP_MINUTES = 20.0
DEPLOYS_A_DAY = 0.4
PROMOTIONS_A_DAY = 0.25
NEIGHBOURS_SD, NEIGHBOURS_MEMORY = 0.01, 0.9
"""What other work on the machine adds to the logarithm of latency, and how much of it stays from minute to minute."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Mean latency of the model's requests over their rate, and the noise of a minute's mean, as fractions."""

    log_rps: Float64
    log_seconds: Float64
    noise: Float64

    def at(self, rps: Float64) -> tuple[Float64, Float64]:
        """Seconds and relative noise at these rates."""
        log = np.log(rps)
        return np.exp(np.interp(log, self.log_rps, self.log_seconds)), np.interp(log, self.log_rps, self.noise)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Signals a minute, float64[MINUTES] each, and the minute at which the regression begins."""

    requests_per_second: Float64
    cache_hit_ratio: Float64
    latency_mean_seconds: Float64
    begins: int


def latency_curve(slower: float) -> Curve:
    """The curve of a replica whose batches take `slower` times as long."""
    batcher = Batcher(BATCHER.max_batch, BATCHER.alpha_s * slower, BATCHER.beta_s * slower, cv=BATCHER.cv)
    rates = np.geomspace(10.0, BUSIEST_RATIO * BATCHER.capacity_rps, LOADS)
    outcomes = [simulate(batcher, rate, REQUESTS, seed=1).latency_s for rate in rates]
    noise = [_minute_noise(latency, rate) for latency, rate in zip(outcomes, rates, strict=True)]
    return Curve(np.log(rates), np.log([latency.mean() for latency in outcomes]), np.array(noise))


def _minute_noise(latency_s: Float64, rps: float) -> float:
    """The relative standard deviation of a minute's mean, from means over blocks of that many requests or of a tenth."""
    block = min(int(rps * STEP_S), len(latency_s) // 10)
    means = latency_s[: len(latency_s) // block * block].reshape(-1, block).mean(axis=1)
    return float(means.std() / means.mean() * np.sqrt(block / (rps * STEP_S)))


def simulated_days(seed: int, usual: Curve, slow: Sequence[Curve]) -> list[Days]:
    """The same two weeks with each of the regressions of `slow`, which begins at a random time of the last four days."""
    random = np.random.default_rng(seed)
    minute = np.arange(MINUTES)
    deploys = np.flatnonzero(random.random(MINUTES) < DEPLOYS_A_DAY / MINUTES_A_DAY)
    hit = _hit_ratio(minute, deploys, random)
    arrivals = random.poisson(STEP_S * BASE_RPS * _daily(minute) * _promotions(random)) / STEP_S
    rps = np.minimum(arrivals, BUSIEST_RATIO * BATCHER.capacity_rps / (1.0 - hit))
    begins = int(random.integers(MINUTES - 4 * MINUTES_A_DAY, MINUTES - 400))
    factor = np.exp(_neighbours(random))
    noise = random.standard_normal(MINUTES)
    days = []
    for curve in slow:
        seconds, relative = usual.at(rps * (1.0 - hit))
        slower_seconds, slower_relative = curve.at(rps * (1.0 - hit))
        seconds = np.where(minute >= begins, slower_seconds, seconds)
        relative = np.where(minute >= begins, slower_relative, relative)
        of_model = seconds * factor * np.maximum(1.0 + relative * noise, 0.1)
        days.append(Days(rps, hit, hit * CACHE_SECONDS + (1.0 - hit) * of_model, begins))
    return days


def _daily(minute: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Float64:
    """Low at night, two peaks by day, a fifth less at the weekend."""
    hour = 2 * np.pi * minute / MINUTES_A_DAY
    weekend = (minute // MINUTES_A_DAY) % 7 >= 5
    shape: Float64 = (1.0 - 0.45 * np.cos(hour) + 0.15 * np.sin(2 * hour)) * np.where(weekend, 0.8, 1.0)
    return shape


def _promotions(random: np.random.Generator) -> Float64:
    """Now and then, for one to three hours, up to two thirds more."""
    factor = np.ones(MINUTES)
    for start in np.flatnonzero(random.random(MINUTES) < PROMOTIONS_A_DAY / MINUTES_A_DAY):
        lasts = random.integers(60, 180)
        factor[start : start + lasts] = random.uniform(1.2, 1.67)
    return factor


def _hit_ratio(
    minute: np.ndarray[tuple[int], np.dtype[np.int64]],
    deploys: np.ndarray[tuple[int], np.dtype[np.int64]],
    random: np.random.Generator,
) -> Float64:
    """The usual one with a little noise; after a deploy the cache is cold and fills."""
    ratio = USUAL_HIT_RATIO + 0.005 * random.standard_normal(MINUTES)
    for deploy in deploys:
        since = minute[deploy:] - deploy
        ratio[deploy:] -= (USUAL_HIT_RATIO - COLD_HIT_RATIO) * np.exp(-since / WARM_UP_MINUTES)
    return np.clip(ratio, 0.05, 0.95)


def _neighbours(random: np.random.Generator) -> Float64:
    fresh = NEIGHBOURS_SD * np.sqrt(1.0 - NEIGHBOURS_MEMORY**2) * random.standard_normal(MINUTES)
    log = np.zeros(MINUTES)
    for minute in range(1, MINUTES):
        log[minute] = NEIGHBOURS_MEMORY * log[minute - 1] + fresh[minute]
    return log
