"""Prometheus text format → the lines of a page and their values.

prometheus_client's parser decides what a page says. A target prints the same lines again and again with other values, so
what stands before the value is parsed with care once, and afterwards only the value is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TextIO, cast

import numpy as np
from prometheus_client.parser import text_fd_to_metric_families
from prometheus_client.samples import Sample

from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Kind

_KINDS: Mapping[str, Kind] = {"gauge": "gauge", "counter": "counter", "histogram": "histogram", "summary": "summary"}


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What a line says before its value.

    `name` is as the page writes it: prometheus_client appends `_total` to the names of counters that lack it, and that is
    undone here, so that a look-up by the server's own name finds it.
    """

    name: str
    labels: Mapping[str, str]
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The lines of a page in their order, and the value of each, float64[n]; values may be NaN or infinite.

    `lines` is the same object from page to page for as long as nothing but values changes.
    """

    lines: tuple[Line, ...]
    values: Float64


class PageParser:
    r"""Reads the pages of one target.

    >>> parser = PageParser()
    >>> page = parser.parse('# TYPE hits counter\nhits{cache="a"} 7\n')
    >>> page.lines[0].name, page.lines[0].kind, page.values
    ('hits', 'counter', array([7.]))
    >>> parser.parse('# TYPE hits counter\nhits{cache="a"} 8\n').lines is page.lines
    True
    """

    def __init__(self) -> None:
        self._comments: list[str] = []
        self._prefixes: list[str] = []
        self._known: dict[str, Line] = {}
        self._lines: tuple[Line, ...] = ()

    def parse(self, text: str) -> Page:
        """The page's lines and values. Raises BadInput, quoting the line, where prometheus_client refuses it."""
        rows = [stripped for row in text.split("\n") if (stripped := row.strip())]
        comments = [row for row in rows if row[0] == "#"]
        parts = [row.rpartition(" ") for row in rows if row[0] != "#"]
        prefixes = [prefix for prefix, _, _ in parts]
        if self._prefixes and prefixes == self._prefixes and comments == self._comments:
            values = _floats([value for _, _, value in parts])
            if values is not None:
                return Page(self._lines, values)
        return self._learn(rows, comments)

    def _learn(self, rows: Sequence[str], comments: list[str]) -> Page:
        """Parse with care what is not known, and remember the page's layout."""
        known = self._known if comments == self._comments else {}
        careful = iter(_careful([row for row in rows if not _read(row, known)]))
        parsed = [_read(row, known) or next(careful) for row in rows if row[0] != "#"]
        prefixes = [row.rpartition(" ")[0] for row in rows if row[0] != "#"]
        self._comments, self._lines = comments, tuple(line for line, _, _ in parsed)
        self._known = {prefix: line for prefix, (line, _, plain) in zip(prefixes, parsed, strict=True) if plain}
        self._prefixes = prefixes if all(plain for _, _, plain in parsed) else []
        return Page(self._lines, np.array([value for _, value, _ in parsed], dtype=np.float64))


class _Parsed(NamedTuple):
    """A row's line and value.

    A plain row ends in its value, so that its line is all that stands before the last space; one with a timestamp is not
    plain and must be read with care every time.
    """

    line: Line
    value: float
    plain: bool


def _read(row: str, known: Mapping[str, Line]) -> _Parsed | None:
    """The row, if its line is known and a plain value follows it."""
    prefix, _, text = row.rpartition(" ")
    line, value = known.get(prefix), _floats([text])
    return None if line is None or value is None else _Parsed(line, float(value[0]), plain=True)


def _careful(rows: Sequence[str]) -> list[_Parsed]:
    """What prometheus_client makes of the rows, one for each that is no comment."""
    last = ""

    def feed() -> Iterator[str]:
        nonlocal last
        for row in rows:
            last = row
            yield row

    written = (row for row in rows if row[0] != "#")
    try:
        return [
            _parsed(next(written), _KINDS.get(family.type, "untyped"), sample)
            for family in text_fd_to_metric_families(cast(TextIO, feed()))  # it is typed for files, and only iterates
            for sample in family.samples
        ]
    except (ValueError, IndexError) as error:
        raise BadInput(f"{last[:120]!r} is not a line of Prometheus text format; mend the page") from error


def _parsed(row: str, kind: Kind, sample: Sample) -> _Parsed:
    plain = sample.timestamp is None and _floats([row.rpartition(" ")[2]]) is not None
    return _Parsed(Line(_name_in(row, sample.name), sample.labels, kind), _float(sample.value), plain)


def _name_in(row: str, name: str) -> str:
    """The sample's name as the row writes it, before the braces or quoted within them."""
    if row.startswith(name) or (row.startswith("{") and f'"{name}"' in row):
        return name
    return name.removesuffix("_total")


def _float(value: float) -> float:
    """An integer of the page may be too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _floats(texts: Sequence[str]) -> Float64 | None:
    """The numbers, or None where one is none, or only Python takes it for one (`1_000`)."""
    if "_" in "".join(texts):
        return None
    try:
        return np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        return None
