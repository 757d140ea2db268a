"""The rows that a Prometheus sends of one of its targets → pages, as if they had been scraped here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import xxhash

from collectors.endpoint import Endpoint
from collectors.exposition import Line, Page
from collectors.http_config import HttpConfig
from collectors.layout import unit_of
from collectors.measures import Reading
from collectors.remote_write import NAME
from collectors.scrape import Scrape
from collectors.target import CollectorCounters, Target, TargetStatus
from recwatch.core.events import Mark
from recwatch.core.signals import Float64, Int64, Kind, Series, series_key

_SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_created")


@dataclass(slots=True, eq=False)
class _Page:
    """The newest reading of each series in one interval, NaN where there is none, and the newest time of all."""

    time_ms: int
    values: Float64


class Source:
    """One target of a Prometheus: its series in the order in which they were first seen, and its page of each interval.

    `target` names it: `prometheus://INSTANCE/JOB`. Rows may come in any number of requests; those with the same time are of
    one scrape, and of several scrapes in an interval the last counts, since counters tell the same by it. `up` is the
    place of the series `up`; `gone` says that its Prometheus has given the target up, which is not the same as being down;
    `heard_ms` is the end of the last interval with a page.

    Its pages are read from `settles_ms` after its first row on: before that they may lack series whose rows were sent before
    recwatch listened, and a counter that seems to be new counts from 0.
    """

    def __init__(self, service: str, key: tuple[str, str], max_gap_ms: int, settles_ms: int) -> None:
        self.service = service
        self.key = job, instance = key
        self.target = f"prometheus://{instance}/{job}"
        self.reading: Reading | None = None
        self.status = TargetStatus(self.target, None, False, "nothing has been received yet", None, 0)
        self.series: tuple[Series, ...] = ()
        self.up: int | None = None
        self.gone = False
        self.heard_ms = 0
        self._settles_ms = settles_ms
        self._first_ms: int | None = None
        self._labels: list[Mapping[str, str]] = []
        self._lines: tuple[Line, ...] = ()
        self._pages: dict[int, _Page] = {}
        self._endpoint = Endpoint(self.target, (("instance", instance), ("job", job)), None, HttpConfig())
        self._pages_read = Target(service, self._endpoint, max_gap_ms, CollectorCounters(), honor_timestamps=False)

    def add(self, labels: Mapping[str, str]) -> int:
        """Take note of a new series; returns its place in the pages."""
        if labels[NAME] == "up":
            self.up = len(self._labels)
        self._labels.append(labels)
        return len(self._labels) - 1

    def describe(self, kinds: Mapping[str, Kind]) -> None:
        """Work out, of every series, what kind it is: what `kinds` says of its family, or else what its name does."""
        names = {labels[NAME] for labels in self._labels}
        found = [kind_of(labels, names, kinds) for labels in self._labels]
        self._lines = tuple(map(_line, self._labels, found))
        self.series = tuple(_series(labels, kind, self) for labels, kind in zip(self._labels, found, strict=True))

    def take(self, end_ms: int, places: Int64, time_ms: Int64, values: Float64) -> None:
        """Put rows, in the order of their time, on the page of the interval that ends at `end_ms`."""
        self._first_ms = int(time_ms.min()) if self._first_ms is None else self._first_ms
        page = self._pages.setdefault(end_ms, _Page(0, np.empty(0)))
        missing = len(self._labels) - len(page.values)
        page.values = np.append(page.values, np.full(missing, np.nan)) if missing else page.values
        page.values[places] = values
        page.time_ms = max(page.time_ms, int(time_ms.max()))

    @property
    def done(self) -> bool:
        """Whether it is gone and all that it sent has been read."""
        return self.gone and not self._pages

    def close(self, end_ms: int) -> tuple[Mark, ...]:
        """Read the page of an interval that is over; without one, or while the target is down, the last reading stays."""
        page = self._pages.pop(end_ms, None)
        if page is None:
            return ()
        self.heard_ms = end_ms
        missing = len(self._labels) - len(page.values)
        values = np.append(page.values, np.full(missing, np.nan))
        if self.up is not None and values[self.up] == 0:
            self.status = replace(self.status, up=False, last_error=f"Prometheus cannot scrape {self.target}", samples=0)
            return ()
        if page.time_ms < (self._first_ms or 0) + self._settles_ms:
            self.status = replace(self.status, up=True, last_error="", last_scrape_ms=page.time_ms)
            return ()
        absorbed = self._pages_read.absorb(Scrape(self._endpoint, page.time_ms, 0.0, Page(self._lines, values)))
        self.status = self._pages_read.status
        if absorbed.reading is not None:
            self.reading = replace(absorbed.reading, time_ms=end_ms)
        return absorbed.marks

    def lose(self) -> None:
        """Take note that its Prometheus has fallen silent."""
        self.status = replace(self.status, up=False, last_error=f"no Prometheus sends anything of {self.target}", samples=0)


def kind_of(labels: Mapping[str, str], names: Collection[str], kinds: Mapping[str, Kind]) -> Kind:
    """What kind of metric a series is of, by the types that are known of families, or else by the conventions for names.

    `names` are those of all series of the same target: `_sum` and `_count` alone do not tell a histogram from a summary.

    >>> kind_of({"__name__": "rpc_seconds_sum"}, {"rpc_seconds_sum", "rpc_seconds_bucket"}, {})
    'histogram'
    >>> kind_of({"__name__": "rpc_seconds", "quantile": "0.5"}, {"rpc_seconds"}, {}), kind_of({"__name__": "up"}, {"up"}, {})
    ('summary', 'gauge')
    """
    name = labels[NAME]
    families = (name, *(name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)))
    known: Kind | None = next((kinds[family] for family in families if family in kinds), None)
    if known is not None:
        return known
    return _kind_by_name(name, families[-1], labels, names)


def _kind_by_name(name: str, family: str, labels: Mapping[str, str], names: Collection[str]) -> Kind:
    if name == "up":
        return "gauge"
    if name.endswith("_total"):
        return "counter"
    if "quantile" in labels:
        return "summary"
    if name != family and f"{family}_bucket" in names:
        return "histogram"
    return "summary" if name != family and family in names else "untyped"


def _line(labels: Mapping[str, str], kind: Kind) -> Line:
    """As the target's own page has it, without the labels that Prometheus adds."""
    return Line(labels[NAME], {k: v for k, v in labels.items() if k not in (NAME, "job", "instance")}, kind)


def _series(labels: Mapping[str, str], kind: Kind, source: Source) -> Series:
    return Series(
        labels[NAME], stored_labels(labels, source.service), unit_of(labels[NAME]), kind, source.service, source.target
    )


def series_id_of(labels: Mapping[str, str], service: str) -> int:
    """The id under which a series is stored, whatever kind it turns out to be."""
    return xxhash.xxh3_64_intdigest(series_key(labels[NAME], stored_labels(labels, service)).encode())


def stored_labels(labels: Mapping[str, str], service: str) -> dict[str, str]:
    """The labels under which a series is stored: its own, and the service, whose label may be in the way of one of them.

    >>> stored_labels({"__name__": "up", "job": "ranker", "service": "web"}, "shop")
    {'job': 'ranker', 'exported_service': 'web', 'service': 'shop'}
    """
    renamed = {"exported_service" if name == "service" else name: value for name, value in labels.items() if name != NAME}
    return renamed | {"service": service}
