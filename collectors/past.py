"""Where history comes from: what every source of it looks like, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from collectors.selector import Selector
from recwatch.core.signals import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What n series were at t times, which are a step apart: `value` is float64[n, t], NaN where there was no reading.

    `labels` are those of each series, its name among them as `__name__` where it has one.
    """

    labels: tuple[Mapping[str, str], ...]
    time_ms: Int64
    value: Float64


class PastSource(Protocol):
    """Asked for one stretch after another. Raises Unavailable when the world fails, BadInput when it cannot answer that."""

    def select(self, selectors: Sequence[Selector], time_ms: Int64) -> Past:
        """The series that any of the selectors selects, and of each the newest value of the step that ends at each time."""
        ...

    def close(self) -> None: ...


def matrix(rows: Sequence[tuple[Mapping[str, str], Int64, Float64]], time_ms: Int64) -> Past:
    """The series of which each has its own times, put on common ones; a series that is there twice counts once.

    >>> up = ({"__name__": "up"}, np.array([2_000]), np.array([1.0]))
    >>> matrix([up, up], np.array([1_000, 2_000])).value
    array([[nan,  1.]])
    """
    found = {tuple(sorted(labels.items())): (labels, at_ms, value) for labels, at_ms, value in rows}
    values = np.full((len(found), len(time_ms)), np.nan)
    for row, (_, at_ms, value) in zip(values, found.values(), strict=True):
        row[np.searchsorted(time_ms, at_ms)] = value
    return Past(tuple(labels for labels, _, _ in found.values()), time_ms, values)
