"""Where in the readings of a round the judged series lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detectors.panel import Place, place
from recwatch.core.signals import Int64, Samples, UInt64

NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Where the judged readings of a service's tick lie: positions `take` hold the series of `row`.

    `beside` gives the position of each signal that methods need, `NONE` where it is absent. Of a series that is there twice
    the first reading counts.
    """

    service: str
    series_id: UInt64
    take: Int64
    row: Int64
    beside: Mapping[str, Int64]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The same of the ticks of a round, one of each service, joined; `services` has each one's slice of `row`."""

    services: Mapping[str, slice]
    series_id: UInt64
    take: Place
    row: Int64
    beside: Mapping[str, Int64]

    def orders(self, ticks: Sequence[Samples]) -> bool:
        """Whether ticks are of these services, in this order."""
        return [*self.services] == [tick.service for tick in ticks]

    def services_among(self, kept: Int64) -> dict[str, slice]:
        """The slice of each service where only these positions of `row` are kept."""
        ends = [0, *(rows.stop for rows in self.services.values())]
        return slices(self.services, np.searchsorted(kept, ends))


def joined(parts: Sequence[Part]) -> Layout:
    """The layout of the ticks of all parts, one after the other."""
    lengths = [len(part.take) for part in parts]
    first = np.repeat(_starts([len(part.series_id) for part in parts])[:-1], lengths)
    beside = {name: np.concatenate([part.beside[name] for part in parts]) for name in parts[0].beside}
    return Layout(
        slices((part.service for part in parts), _starts(lengths)),
        np.concatenate([part.series_id for part in parts]),
        place(np.concatenate([part.take for part in parts]) + first),
        np.concatenate([part.row for part in parts]),
        {name: np.where(position == NONE, NONE, position + first) for name, position in beside.items()},
    )


def slices(names: Iterable[str], ends: Int64) -> dict[str, slice]:
    """What lies between one end and the next, by name.

    >>> slices(["shop", "news"], np.array([0, 2, 5]))
    {'shop': slice(0, 2, None), 'news': slice(2, 5, None)}
    """
    return {name: slice(*own) for name, own in zip(names, pairwise(ends.tolist()), strict=True)}


def _starts(lengths: Sequence[int]) -> Int64:
    return np.cumsum([0, *lengths], dtype=np.int64)
