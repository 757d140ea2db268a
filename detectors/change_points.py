"""Where the level of a series changed: when, from what to what, and how surely. Slower than the methods that alarm."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from math import lgamma, log, pi, sqrt

import numpy as np

from recwatch.core.signals import Float64, Int64

SURE = 0.9
"""Least probability of a change that is told."""
LEAST_ROWS = 8
"""What lasts for fewer readings is no level."""
ROWS_A_CHANGE = 250.0
"""How seldom changes are taken to come, before anything is known."""
MEMORY_ROWS = 400
NOISE_ROWS = 40.0
"""The noise expected of a new level counts as much as so many readings of it."""
SLOPE_ROWS = 10.0
PRIOR = np.diag([0.01, 0.25, 0.25])
"""One over the variance, in squares of the noise, of what is expected of a new level, around none: how far it is from the
reading before it, by how much it rises in `SLOPE_ROWS`, and the share of a distance that goes over to the next reading."""
RELATIVE_FLOOR, ABSOLUTE_FLOOR = 0.001, 1e-12
LARGEST = 1e60
"""Readings are held within ± this, so that the fourth power of one in units of the least noise does not overflow."""
BEGINNINGS = 100
"""So many of the likeliest are kept, so that a reading costs the same however long ago the last change was."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level: `row`, counted from 0, is most likely the first of the new one.

    It lies between `earliest` and `latest` with a probability of 0.9, if there is a change; `probability` says how likely
    one is. `before` and `after` are the means of the readings on either side of `row`, since the change before.
    """

    row: int
    earliest: int
    latest: int
    before: float
    after: float
    probability: float


@dataclass(slots=True, eq=False)
class _Beginnings:
    """The rows in which the present level may have begun, each with what the readings since then say of it.

    A reading is seen as its distance from `origin`, the last of the level before, in units of `noise`, as expected then.
    `precision` float64[n, 3, 3], `moment` float64[n, 3] and `square` float64[n] are the sums of a linear regression.
    """

    row: Int64
    log_weight: Float64
    origin: Float64
    noise: Float64
    precision: Float64
    moment: Float64
    square: Float64

    @classmethod
    def one(cls, row: int, log_weight: float, origin: float, noise: float) -> _Beginnings:
        return cls(
            row=np.array([row]),
            log_weight=np.array([log_weight]),
            origin=np.array([origin]),
            noise=np.array([noise]),
            precision=PRIOR[None],
            moment=np.zeros((1, len(PRIOR))),
            square=np.zeros(1),
        )

    def __len__(self) -> int:
        return len(self.row)

    def kept(self, which: Int64) -> _Beginnings:
        return _Beginnings(*(getattr(self, field.name)[which] for field in fields(self)))

    def joined(self, other: _Beginnings) -> _Beginnings:
        return _Beginnings(
            *(np.concatenate([getattr(self, field.name), getattr(other, field.name)]) for field in fields(self))
        )


class ChangePoints:
    """Bayesian online change point detection (Adams and MacKay, arXiv:0710.3742) of levels in noise that comes in runs.

    A level is a straight line, and a share of each reading's distance goes over to the next: without that, noise in runs is
    taken for changes. Noise and coefficients have a normal-inverse-gamma prior, so that a reading has a Student's t
    distribution under each beginning. The noise expected of a new level is the mean square of all errors so far, those at
    changes among them: where much has changed, a change must be larger to be one.
    """

    def __init__(self) -> None:
        self._readings: deque[float] = deque(maxlen=MEMORY_ROWS)
        self._row = 0
        self._told = 0
        self._mean_square = 0.0
        self._known = _Beginnings.one(0, 0.0, 0.0, 1.0)

    def update(self, value: float) -> Change | None:
        """The likeliest change since the last certain one; None where there are too few readings since then."""
        value = min(max(value, -LARGEST), LARGEST)
        if self._row == 0:
            self._known = _Beginnings.one(0, 0.0, value, _floor(value))
        self._learn(value, self._readings[-1] if self._readings else value)
        self._readings.append(value)
        self._row += 1
        noise = max(sqrt(self._mean_square), _floor(value))
        self._known.log_weight += log(1.0 - 1.0 / ROWS_A_CHANGE)
        self._known = self._known.joined(_Beginnings.one(self._row, -log(ROWS_A_CHANGE), value, noise))
        change = self._likeliest()
        if change is not None and change.probability >= SURE:
            self._told = change.row
        return change

    def _learn(self, value: float, before: float) -> None:
        """Weigh each beginning by how well it foresaw the value, then learn that."""
        known = self._known
        age = (self._row - known.row).astype(np.float64)
        seen = (value - known.origin) / known.noise
        terms = np.stack([np.ones(len(known)), age / SLOPE_ROWS, (before - known.origin) / known.noise], axis=1)
        inverse = np.linalg.inv(known.precision)
        coefficients = (inverse @ known.moment[:, :, None])[:, :, 0]
        shape = 0.5 * (NOISE_ROWS + age)
        left = known.square - (coefficients * known.moment).sum(1)
        unsure = (terms * (inverse @ terms[:, :, None])[:, :, 0]).sum(1)
        # Both are sums of squares; huge readings may leave them below 0 by rounding.
        rate = 0.5 * (NOISE_ROWS + np.maximum(left, 0.0))
        spread = rate / shape * (1.0 + np.maximum(unsure, 0.0))
        error = seen - (coefficients * terms).sum(1)
        best = int(np.argmax(known.log_weight))
        square = float(error[best] * known.noise[best]) ** 2
        self._mean_square += (square - self._mean_square) / min(self._row + 1, MEMORY_ROWS)
        log_weight = known.log_weight + _log_t(error, spread, shape) - np.log(known.noise)
        known.log_weight = log_weight - np.logaddexp.reduce(log_weight)
        known.precision = known.precision + terms[:, :, None] * terms[:, None, :]
        known.moment = known.moment + seen[:, None] * terms
        known.square = known.square + seen**2
        if len(known) > BEGINNINGS:
            self._known = known.kept(np.sort(np.argsort(known.log_weight)[-BEGINNINGS:]))

    def _likeliest(self) -> Change | None:
        """The likeliest of the beginnings that are `LEAST_ROWS` away from the last change, and from now."""
        row, readings = self._known.row, np.array(self._readings)
        since = max(self._told, self._row - len(readings))
        new = np.flatnonzero((row > since + LEAST_ROWS) & (self._row - row >= LEAST_ROWS))
        if not len(new):
            return None
        row, log_weight = row[new], self._known.log_weight[new]
        total = np.logaddexp.reduce(log_weight)
        share = np.cumsum(np.exp(log_weight - total))
        begins = int(row[np.argmax(log_weight)])
        first = self._row - len(readings)
        return Change(
            row=begins,
            earliest=int(row[np.searchsorted(share, 0.05)]),
            latest=int(row[np.searchsorted(share, 0.95)]),
            before=float(readings[since - first : begins - first].mean()),
            after=float(readings[begins - first :].mean()),
            probability=float(np.exp(total)),
        )


def _floor(value: float) -> float:
    """The least noise that is expected of a series with such a reading."""
    return RELATIVE_FLOOR * abs(value) + ABSOLUTE_FLOOR


def _log_t(error: Float64, spread: Float64, shape: Float64) -> Float64:
    """The logarithm of the density of Student's t distribution with 2 × shape degrees of freedom and that squared scale."""
    constant = np.array([lgamma(each + 0.5) - lgamma(each) for each in shape.tolist()])
    density: Float64 = constant - 0.5 * np.log(2.0 * pi * shape * spread)
    return density - (shape + 0.5) * np.log1p(error**2 / (2.0 * shape * spread))
