"""Noise in which there is nothing to find, as series of readings around 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from recwatch.core.signals import Float64

Noise = Callable[[np.random.Generator, int, int], Iterator[Float64]]
"""Readings of so many series, so many a day, a line a tick, without end."""


def normal(rng: np.random.Generator, series: int, _a_day: int) -> Iterator[Float64]:
    """Independent, normal."""
    while True:
        yield rng.standard_normal(series)


def heavy(rng: np.random.Generator, series: int, _a_day: int) -> Iterator[Float64]:
    """Student's t with 3 degrees of freedom: the variance is finite, the fourth moment is not."""
    while True:
        yield rng.standard_t(3, series)


def skewed(rng: np.random.Generator, series: int, _a_day: int) -> Iterator[Float64]:
    """Log-normal, as latencies are."""
    while True:
        yield np.exp(rng.standard_normal(series))


def runs(rng: np.random.Generator, series: int, _a_day: int) -> Iterator[Float64]:
    """First-order autoregressive, 0.9."""
    value = np.zeros(series)
    while True:
        value = 0.9 * value + rng.standard_normal(series)
        yield value


def seasonal(rng: np.random.Generator, series: int, a_day: int) -> Iterator[Float64]:
    """A daily wave of ten standard deviations."""
    tick = 0
    while True:
        yield 10.0 * np.sin(2.0 * np.pi * tick / a_day) + rng.standard_normal(series)
        tick += 1


def counts(rng: np.random.Generator, series: int, _a_day: int) -> Iterator[Float64]:
    """Poisson, two a reading."""
    while True:
        yield rng.poisson(2.0, series).astype(np.float64)


NOISES: Mapping[str, Noise] = {
    "normal": normal,
    "heavy tails": heavy,
    "skewed": skewed,
    "noise in runs": runs,
    "a daily wave": seasonal,
    "counts": counts,
}
