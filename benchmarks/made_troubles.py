"""Signals that something happens to, made of a level, a noise and what goes wrong: steps, ramps, leaks, stuck exporters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.noise import NOISES
from recwatch.core.signals import Float64

STEP_S = 15
HOUR_TICKS = 3600 // STEP_S
BEGINS_H, LASTS_H = 24, 12
TICKS = (BEGINS_H + LASTS_H) * HOUR_TICKS
SOON_H = 0.5
NORMAL, HEAVY, RUNS = "normal", "heavy tails", "noise in runs"
DEVIATIONS = {NORMAL: 1.0, HEAVY: 3.0**0.5, RUNS: (1.0 / (1.0 - 0.9**2)) ** 0.5}
"""Standard deviations of the noises as they are made."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A signal whose `level` moves by `by`, over `over_h` hours, a day after its start; `copies` of it with each noise.

    The noise has a standard deviation of `deviation` in the signal's unit; readings are held between `least` and `most` and
    have so many `digits`. One that is `stuck` repeats its reading of that moment for ever. Where `apart`, each copy belongs
    to a service of its own. What was wrong `from_start` begins there.
    """

    what: str
    signal: str
    level: float
    deviation: float = 0.0
    by: float = 0.0
    over_h: float = 0.0
    noises: tuple[str, ...] = (RUNS,)
    copies: int = 20
    least: float = 0.0
    most: float = np.inf
    digits: int = 9
    stuck: bool = False
    apart: bool = False
    from_start: bool = False

    @property
    def series(self) -> int:
        return self.copies * len(self.noises)

    @property
    def begins(self) -> int:
        """The tick at which it goes wrong."""
        return 0 if self.from_start else BEGINS_H * HOUR_TICKS

    @property
    def within(self) -> int:
        """Ticks within which it is to be found: before all has moved, or half an hour where it moves at once."""
        return round((self.over_h or SOON_H) * HOUR_TICKS)

    def readings(self, seed: int) -> Iterator[Float64]:
        """A reading of each copy, tick by tick."""
        rng = np.random.default_rng(seed)
        made = [(NOISES[name](rng, self.copies, 24 * HOUR_TICKS), DEVIATIONS[name]) for name in self.noises]
        value = np.zeros(0)
        for tick in range(TICKS):
            noise = np.concatenate([next(source) / deviation for source, deviation in made])
            if not (self.stuck and tick > self.begins):
                level = self.level + self.by * self._moved(tick - self.begins)
                value = np.clip(level + self.deviation * noise, self.least, self.most)
            yield np.round(value, self.digits)

    def _moved(self, since: int) -> float:
        """The share of the way that the level has gone `since` ticks after it began to."""
        if since < 0:
            return 0.0
        return min((since + 1) / (self.over_h * HOUR_TICKS), 1.0) if self.over_h else 1.0


GIB = 2.0**30
LEAST_CHANGE = 0.10
"""Of a cache's hit ratio, from `detectors.plan`: noise and steps are told in units of it."""
LEVELS = tuple(
    Trouble(
        f"hit ratio, noise of {noise:g}: falls by {by:g}" + (f" in {over_h:g} h" if over_h else ""),
        "cache_hit_ratio",
        level=0.65,
        deviation=noise * LEAST_CHANGE,
        by=-by * LEAST_CHANGE,
        over_h=over_h,
        noises=(NORMAL, HEAVY, RUNS),
        most=1.0,
    )
    for noise in (0.25, 0.5, 1.0)
    for by, over_h in ((1.25, 0.0), (1.5, 0.0), (2.0, 0.0), (3.0, 0.0), (2.0, 0.5), (2.0, 3.0))
)
LEAPS = tuple(
    Trouble(
        f"{what}, noise of {noise:g}: moves by 1.5", signal, level, noise * abs(least), 1.5 * least, noises=(HEAVY, RUNS)
    )
    for what, signal, level, least in (
        ("host memory", "host_memory_available_bytes", 16.0 * GIB, -3.2 * GIB),
        ("GPU memory", "gpu_memory_used_bytes", 20.0 * GIB, 2.0 * GIB),
    )
    for noise in (0.05, 0.1, 0.25)
)
LEAKS = tuple(
    Trouble(f"{what} used up in {hours:g} h", signal, level, deviation, by, hours)
    for what, signal, level, deviation, by in (
        ("host memory", "host_memory_available_bytes", 16.0 * GIB, 0.1 * GIB, -16.0 * GIB),
        ("GPU memory, bytes,", "gpu_memory_used_bytes", 20.0 * GIB, 0.2 * GIB, 20.0 * GIB),
        ("GPU memory, ratio,", "gpu_memory_used_ratio", 0.5, 0.005, 0.5),
    )
    for hours in (1.0, 3.0, 12.0)
)
BOUNDS = (
    Trouble("a target of four down from the start", "targets_up_ratio", 0.75, copies=5, apart=True, from_start=True),
    Trouble("a target of four goes down", "targets_up_ratio", 1.0, by=-0.25, copies=5, apart=True),
    Trouble("p99 over the objective from the start", "latency_p99_seconds", 0.2, 0.02, apart=True, from_start=True),
    Trouble("p99 leaps over the objective", "latency_p99_seconds", 0.06, 0.006, 0.14, apart=True),
    Trouble("p99 creeps over the objective in 3 h", "latency_p99_seconds", 0.06, 0.006, 0.14, 3.0, apart=True),
    Trouble("p99 creeps over the objective in 11 h", "latency_p99_seconds", 0.06, 0.006, 0.14, 11.0, apart=True),
    Trouble("errors of 3 % from the start", "errors_ratio", 0.03, 0.003, apart=True, from_start=True),
)
STUCK = (
    Trouble("GPU power stands still", "gpu_power_watts", 180.0, 8.0, digits=3, stuck=True),
    Trouble("GPU temperature, whole degrees, stands still", "gpu_temperature_celsius", 62.0, 2.0, digits=0, stuck=True),
    Trouble("host CPU stands still", "host_cpu_busy_ratio", 0.5, 0.06, most=1.0, stuck=True),
    Trouble("host memory stands still", "host_memory_available_bytes", 16.0 * GIB, 0.1 * GIB, digits=0, stuck=True),
)
TROUBLES: Sequence[Trouble] = (*LEVELS, *LEAPS, *LEAKS, *BOUNDS, *STUCK)
