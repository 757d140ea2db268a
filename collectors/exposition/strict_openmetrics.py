"""The rules of OpenMetrics 1.0, and names in quotes, which Prometheus adds to it.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from collectors.exposition.page import Line
from collectors.exposition.row import NAME, QUOTED, RowReader, decoded, unescaped
from collectors.exposition.strict import REAL, Violation, check_buckets, strict_number

_LABEL = rf"(?:[a-zA-Z_][a-zA-Z0-9_]*+|{QUOTED})={QUOTED}"
_LABELS = rf"\{{(?:{_LABEL}(?:,{_LABEL})*+)?\}}"
_NAMED_IN_LABELS = rf"\{{{QUOTED}(?:,{_LABEL})*+\}}"
_SAMPLE = re.compile(
    rf"({NAME}(?:{_LABELS})?|{_NAMED_IN_LABELS}) ([^ ]++)(?: ({REAL}))?(?: # ({_LABELS}) ([^ ]++)(?: {REAL})?)?", re.DOTALL
)
_METADATA = re.compile(rf"# (TYPE|HELP|UNIT) (?:({NAME})|({QUOTED})) (.*)", re.DOTALL)
_UNIT = re.compile(r"[a-zA-Z0-9_:]*")
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_count", "_sum", "_bucket", "_created"),
    "gaugehistogram": ("_gcount", "_gsum", "_bucket"),
    "info": ("_info",),
    "gauge": ("",),
    "stateset": ("",),
    "unknown": ("",),
}
_COUNTED = ("_total", "_sum", "_count", "_bucket", "_gcount")
_WHOLE = ("_bucket", "_count", "_gcount")
_EXEMPLAR_CHARACTERS = 128

_Labels = frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Family:
    """What the rows of one metric family have said so far."""

    name: str
    metadata: dict[str, str] = field(default_factory=dict)
    sampled: bool = False
    groups: set[_Labels] = field(default_factory=set)
    point: _Point | None = None

    @property
    def type(self) -> str:
        return self.metadata.get("TYPE", "unknown")

    def suffix_of(self, name: str) -> str | None:
        """What a sample's name adds to the family's; None where the sample is of another family."""
        suffix = name.removeprefix(self.name)
        return suffix if self.name + suffix == name and suffix in _SUFFIXES[self.type] else None


@dataclass(slots=True)
class _Point:
    """The samples of one metric at one time."""

    group: _Labels
    time: float | None
    series: set[tuple[str, _Labels]] = field(default_factory=set)
    buckets: list[tuple[float, float]] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)


class OpenMetricsRules:
    """Takes the rows of a page in turn; raises Violation or Unreadable at the first that breaks a rule."""

    needs_last_newline = False

    def __init__(self) -> None:
        self._reader = RowReader(defaultdict(lambda: "untyped"), openmetrics=True)
        self._family: _Family | None = None
        self._names: set[str] = set()
        self._ended = False

    def take(self, spelled: bytes) -> None:
        """One row."""
        text = decoded(spelled)
        if self._ended:
            raise Violation("it stands after # EOF")
        if text == "# EOF":
            self._ended = True
        elif text.startswith("#"):
            self._take_metadata(text)
        elif not text:
            raise Violation("it is empty")
        else:
            self._take_sample(text)

    def end(self) -> None:
        """After the last row."""
        self._end_family()
        if not self._ended:
            raise Violation("no # EOF follows it")

    def _take_metadata(self, text: str) -> None:
        metadata = _METADATA.fullmatch(text)
        if metadata is None:
            raise Violation("a comment is TYPE, HELP or UNIT, a name, and what it says, with one blank before each")
        word, name, said = metadata.group(1), metadata.group(2) or unescaped(metadata.group(3)[1:-1]), metadata.group(4)
        family = self._family if self._family is not None and self._family.name == name else self._begin_family(name)
        if family.sampled:
            raise Violation(f"it stands after samples of {name}")
        if word in family.metadata:
            raise Violation(f"it is the second {word} of {name}")
        if word == "TYPE" and said not in _SUFFIXES:
            raise Violation(f"a type is one of {', '.join(_SUFFIXES)}")
        family.metadata[word] = said
        unit = family.metadata.get("UNIT")
        if unit and (not _UNIT.fullmatch(unit) or not name.endswith(f"_{unit}")):
            raise Violation("the name of a metric ends in its unit")
        if unit and family.type in ("info", "stateset"):
            raise Violation(f"a metric of type {family.type} has no unit")

    def _begin_family(self, name: str) -> _Family:
        self._end_family()
        self._family = _Family(name)
        return self._family

    def _end_family(self) -> None:
        family = self._family
        if family is None:
            return
        _end_point(family)
        for name in {family.name, *(family.name + suffix for suffix in _SUFFIXES[family.type])}:
            if name in self._names:
                raise Violation(f"{name} is a name of two metrics before it")
            self._names.add(name)

    def _take_sample(self, text: str) -> None:
        sample = _SAMPLE.fullmatch(text)
        if sample is None:
            raise Violation(
                "it is no name, labels, value, timestamp and exemplar, with one blank before each but the labels"
            )
        series, number, time, exemplar = sample.group(1, 2, 3, 4)
        line = self._reader.read(f"{series} 0".encode())[0]
        value = strict_number(number)
        family = self._family
        suffix = family.suffix_of(line.name) if family is not None else None
        if family is None or suffix is None:
            family, suffix = self._begin_family(line.name), ""
        family.sampled = True
        _check_value(family.type, suffix, value)
        bound = _bound(family, suffix, line.labels)
        if exemplar is not None:
            self._check_exemplar(family.type, suffix, exemplar, strict_number(sample.group(5)), bound)
        if family.type != "info":
            _take_into_point(family, suffix, line, value, None if time is None else float(time))

    def _check_exemplar(self, kind: str, suffix: str, spelled: str, value: float, bound: float | None) -> None:
        if (kind, suffix) not in (("counter", "_total"), ("histogram", "_bucket"), ("gaugehistogram", "_bucket")):
            raise Violation("only counters and buckets have exemplars")
        labels = self._reader.read(f"x{spelled} 0".encode())[0].labels
        if sum(len(name) + len(text) for name, text in labels.items()) > _EXEMPLAR_CHARACTERS:
            raise Violation(f"the labels of its exemplar have more than {_EXEMPLAR_CHARACTERS} characters")
        if bound is not None and value > bound:
            raise Violation("its exemplar is beyond its bucket")


def _check_value(kind: str, suffix: str, value: float) -> None:
    if suffix in (*_COUNTED, "_gsum") and math.isnan(value):
        raise Violation("a count or sum is not NaN")
    if (suffix in _COUNTED or (kind, suffix) == ("summary", "")) and value < 0:
        raise Violation("a count, sum or quantile is not negative")
    if suffix in _WHOLE and not value.is_integer():
        raise Violation("a count is a whole number")
    if (kind == "info" and value != 1) or (kind == "stateset" and value not in (0, 1)):
        raise Violation("the value of an info is 1, of a state 0 or 1")


def _bound(family: _Family, suffix: str, labels: Mapping[str, str]) -> float | None:
    """The upper bound of a bucket, or the quantile; None for other samples."""
    if family.type == "stateset" and family.name not in labels:
        raise Violation(f"a state has a label {family.name}")
    label = "le" if suffix == "_bucket" else "quantile" if (family.type, suffix) == ("summary", "") else None
    if label is None:
        return None
    bound = strict_number(labels.get(label, ""))
    if math.isnan(bound) or (label == "quantile" and not 0 <= bound <= 1):
        raise Violation("a quantile lies between 0 and 1, and no bound is NaN")
    if math.isinf(bound) and labels[label] not in ("+Inf", "-Inf"):
        raise Violation("an infinite bound is written +Inf")
    return bound


def _take_into_point(family: _Family, suffix: str, line: Line, value: float, time: float | None) -> None:
    """Metrics are not interleaved, nor the points of one metric, and those are in the order of time."""
    labels = frozenset(line.labels.items())
    own = {"_bucket": "le", "": family.name if family.type == "stateset" else "quantile"}.get(suffix)
    group = frozenset(pair for pair in labels if pair[0] != own)
    point = family.point
    if point is not None and point.group == group and point.time == time:
        if time is None and (line.name, labels) in point.series:
            raise Violation("a row before it has the same name and labels")
    else:
        if point is not None and point.group == group:
            _check_times(point.time, time)
        elif group in family.groups:
            raise Violation("rows of another metric stand between it and those of its own before it")
        _end_point(family)
        family.groups.add(group)
        family.point = point = _Point(group, time)
    point.series.add((line.name, labels))
    if suffix == "_bucket":
        point.buckets.append((float(line.labels["le"]), value))
    else:
        point.parts[suffix] = value


def _check_times(before: float | None, time: float | None) -> None:
    if before is None or time is None:
        raise Violation("of the points of one metric, all have timestamps or none")
    if time < before:
        raise Violation("its timestamp is before that of the row before it")


def _end_point(family: _Family) -> None:
    """Check what the samples of one histogram at one time say as a whole."""
    if family.point is None or family.type not in ("histogram", "gaugehistogram"):
        return
    count_name, sum_name = ("_count", "_sum") if family.type == "histogram" else ("_gcount", "_gsum")
    buckets, total = family.point.buckets, family.point.parts.get(sum_name)
    check_buckets(buckets, family.point.parts.get(count_name))
    if any(low > high for (_, low), (_, high) in pairwise(buckets)):
        raise Violation("the values of the buckets before it decrease")
    if (count_name in family.point.parts) != (total is not None):
        raise Violation(f"the histogram before it has {count_name} or {sum_name} without the other")
    negative = any(bound < 0 for bound, _ in buckets)
    if total is not None and (negative if family.type == "histogram" else total < 0 and not negative):
        raise Violation("the sum of the histogram before it does not go with the bounds of its buckets")
