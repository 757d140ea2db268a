"""The lines of a page → series under their own names, and what is measured by which line. Worked out once a layout."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from collectors.endpoint import Endpoint
from collectors.exposition import Line
from collectors.measures import Measure
from collectors.normalise import NORMALISERS, measures_of, recognise
from recwatch.core.signals import Series

_UNITS = ("seconds", "bytes", "ratio", "watts", "celsius", "hertz", "joules", "volts", "amperes", "meters", "grams")


@dataclass(frozen=True, slots=True)
class Measured:
    """Which of the rows kept measures what, and the id of its series."""

    position: int
    series_id: int
    measure: Measure


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How the pages of one target are read for as long as their lines stay the same.

    `rows` are the rows kept: of several with one name and the same labels the first counts, as in Prometheus, and the others
    are dropped and counted, since refusing the page would blind recwatch for a slip in one line of it. `series` is
    aligned to `rows`.
    """

    lines: tuple[Line, ...]
    kinds: tuple[str, ...]
    series: tuple[Series, ...]
    rows: npt.NDArray[np.int64]
    process: tuple[Measured, ...]
    hardware: tuple[Measured, ...]
    instants: tuple[Measured, ...]

    @property
    def duplicates(self) -> int:
        return len(self.lines) - len(self.rows)

    @property
    def blanks(self) -> tuple[float, ...]:
        return tuple(blank for kind in self.kinds for blank in NORMALISERS[kind].blanks)


def layout_of(lines: tuple[Line, ...], service: str, endpoint: Endpoint) -> Layout:
    """The layout of a page of the service's target; what else than the target's kind is on the page is recognised."""
    kinds = recognise(lines, first=endpoint.kind)
    first: dict[int, tuple[int, Series]] = {}
    for row, series in enumerate(raw_series(lines, service, endpoint)):
        first.setdefault(series.id, (row, series))
    measures = measures_of(lines, kinds)
    measured = [
        Measured(position, series.id, _shared(measure))
        for position, (row, series) in enumerate(first.values())
        for measure in measures[row]
    ]
    return Layout(
        lines=lines,
        kinds=kinds,
        series=tuple(series for _, series in first.values()),
        rows=np.array([row for row, _ in first.values()], dtype=np.int64),
        process=tuple(m for m in measured if m.measure.counts == "process"),
        hardware=tuple(m for m in measured if m.measure.counts == "hardware"),
        instants=tuple(m for m in measured if m.measure.counts == "level"),
    )


@lru_cache(maxsize=100_000)
def _shared(measure: Measure) -> Measure:
    """The same measure for all replicas of a server."""
    return measure


def raw_series(lines: Iterable[Line], service: str, endpoint: Endpoint) -> Iterator[Series]:
    """The series of lines, under their own names; a label of the page that is in our way gets `exported_`, as in Prometheus.

    >>> page = Endpoint.of("shop", "http://10.0.0.1:8000/metrics", {})
    >>> [series.key for series in raw_series([Line("hits_total", {"job": "web"}, "counter")], "shop", page)]
    ['hits_total{exported_job="web",instance="10.0.0.1:8000",job="shop",service="shop"}']
    """
    target = {**dict(endpoint.labels), "service": service}
    for line in lines:
        labels = SeriesLabels.of(line, target)
        yield Series(line.name, labels, unit_of(line.name), line.kind, service, endpoint.url)


class SeriesLabels(Mapping[str, str]):
    """The labels of a line and those of its target, which all its series share: a dict each would be most of a series."""

    __slots__ = ("_line", "_target")

    def __init__(self, line: Mapping[str, str], target: Mapping[str, str]) -> None:
        self._line = line
        self._target = target

    @classmethod
    def of(cls, line: Line, target: Mapping[str, str]) -> SeriesLabels:
        if line.labels.keys().isdisjoint(target):
            return cls(line.labels, target)
        return cls({f"exported_{name}" if name in target else name: value for name, value in line.labels.items()}, target)

    def __getitem__(self, name: str) -> str:
        return self._line[name] if name in self._line else self._target[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._line
        yield from self._target

    def __len__(self) -> int:
        return len(self._line) + len(self._target)

    def items(self) -> ItemsView[str, str]:
        return {**self._line, **self._target}.items()

    def __repr__(self) -> str:
        return repr(dict(self.items()))


@lru_cache(maxsize=100_000)
def unit_of(name: str) -> str:
    """The base unit that a name ends in, by Prometheus's conventions; empty where it says none.

    >>> unit_of("process_cpu_seconds_total"), unit_of("rpc_seconds_sum"), unit_of("rpc_seconds_bucket")
    ('seconds', 'seconds', '')
    """
    last = name.removesuffix("_total").removesuffix("_sum").rpartition("_")[2]
    return last if last in _UNITS else ""
