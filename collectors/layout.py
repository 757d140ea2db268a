"""The lines of a page → series under their own names, and what is measured by which line. Worked out once a layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collectors.exposition import Line
from collectors.measures import Measure
from collectors.normalise import NORMALISERS, measures_of, recognise
from recwatch.core.signals import Series, UInt64

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
    are dropped and counted, since refusing the page would blind recwatch for a slip in one line of it. `series` and `ids`
    are aligned to `rows`.
    """

    lines: tuple[Line, ...]
    kinds: tuple[str, ...]
    series: tuple[Series, ...]
    ids: UInt64
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


def layout_of(lines: tuple[Line, ...], service: str, url: str, kind: str | None = None) -> Layout:
    """The layout of a page of the service's target; what else than `kind` is on the page is recognised."""
    kinds = recognise(lines, first=kind)
    first: dict[int, tuple[int, Series]] = {}
    for row, line in enumerate(lines):
        series = raw_series(line, service, url)
        first.setdefault(series.id, (row, series))
    measures = measures_of(lines, kinds)
    measured = [
        Measured(position, series.id, measure)
        for position, (row, series) in enumerate(first.values())
        for measure in measures[row]
    ]
    return Layout(
        lines=lines,
        kinds=kinds,
        series=tuple(series for _, series in first.values()),
        ids=np.fromiter(first, dtype=np.uint64, count=len(first)),
        rows=np.array([row for row, _ in first.values()], dtype=np.int64),
        process=tuple(m for m in measured if m.measure.counts == "process"),
        hardware=tuple(m for m in measured if m.measure.counts == "hardware"),
        instants=tuple(m for m in measured if m.measure.counts == "level"),
    )


def raw_series(line: Line, service: str, url: str) -> Series:
    """The series of a line, under its own name; a label of the page that is in our way gets `exported_`, as in Prometheus.

    >>> raw_series(Line("hits_total", {"job": "web"}, "counter"), "shop", "http://10.0.0.1:8000/metrics").key
    'hits_total{exported_job="web",instance="10.0.0.1:8000",job="shop",service="shop"}'
    """
    ours = {"job": service, "instance": instance_of(url), "service": service}
    theirs = {f"exported_{name}" if name in ours else name: value for name, value in line.labels.items()}
    return Series(line.name, theirs | ours, unit_of(line.name), line.kind, service, url)


def instance_of(url: str) -> str:
    """Host and port; the path, too, where it is not `/metrics`, since one server may have several pages.

    >>> instance_of("http://10.0.0.1:8000/metrics"), instance_of("http://10.0.0.1:8000/gpu/metrics")
    ('10.0.0.1:8000', '10.0.0.1:8000/gpu/metrics')
    """
    address, _, path = url.partition("://")[2].partition("/")
    return address if path == "metrics" else f"{address}/{path}"


def unit_of(name: str) -> str:
    """The base unit that a name ends in, by Prometheus's conventions; empty where it says none.

    >>> unit_of("process_cpu_seconds_total"), unit_of("rpc_seconds_sum"), unit_of("rpc_seconds_bucket")
    ('seconds', 'seconds', '')
    """
    last = name.removesuffix("_total").removesuffix("_sum").rpartition("_")[2]
    return last if last in _UNITS else ""
