"""The series of a round: which methods judge each of them, and under which ids what is said of it is published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.panel import Place
from recwatch.core.signals import Float64, Int64, UInt64


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The series that one method judges, k of the round's n.

    `among` is where they lie among the round's, `own_row` int64[k] their rows in the method's own state, `own_place` where
    these lie. Deviations to
    `side` count, from `least_change` or `least_change_ratio` of the expected value on; float64[k].
    """

    among: Place
    own_row: Int64
    own_place: Place
    side: Float64
    least_change: Float64
    least_change_ratio: Float64

    def matters(self, expected: Float64) -> Float64:
        """The least change from these expected values that is anybody's concern."""
        return np.maximum(self.least_change, self.least_change_ratio * np.abs(expected))


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """What is known of the series of `row`, which lie in the stage's columns at `place`; n rows each.

    `asked` has an entry for each method, `warms` bool[methods, n] tells whose warm-up is published. `ids` uint64[lines, n]
    has a line for each that `Round.said` can have, 0 where nothing is published.
    """

    row: Int64
    place: Place
    asked: tuple[Asked, ...]
    warms: npt.NDArray[np.bool_]
    ids: UInt64
    bound: Float64
    limit: Float64
    starts_after: Float64
    starts_at_once: Float64
