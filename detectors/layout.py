"""Where in the readings of a round the judged series lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recwatch.core.signals import Int64, UInt64

NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the judged readings of ticks lie: positions `take` hold the series of `row`; `NONE` in `beside`: absent.

    The ticks, one of each service, come one after the other; `starts` int64[services + 1] is where each has its first in
    `take`, and the end. Of a series that is there twice the first reading counts.
    """

    services: tuple[str, ...]
    series_id: UInt64
    take: Int64
    row: Int64
    beside: Mapping[str, Int64]
    starts: Int64


def joined(parts: Sequence[Layout]) -> Layout:
    """The layout of the ticks of all parts, one after the other."""
    first = _starts([len(part.series_id) for part in parts])
    placed = list(zip(parts, first.tolist(), strict=False))
    beside = {
        name: np.concatenate([np.where(part.beside[name] == NONE, NONE, part.beside[name] + at) for part, at in placed])
        for name in parts[0].beside
    }
    return Layout(
        tuple(service for part in parts for service in part.services),
        np.concatenate([part.series_id for part in parts]),
        np.concatenate([part.take + at for part, at in placed]),
        np.concatenate([part.row for part in parts]),
        beside,
        _starts([len(part.take) for part in parts]),
    )


def _starts(lengths: Sequence[int]) -> Int64:
    return np.cumsum([0, *lengths], dtype=np.int64)
