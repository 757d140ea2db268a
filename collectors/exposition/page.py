"""The words for what a page of exposition text says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from recwatch.core.signals import Float64, Int64, Kind

NO_TIME_MS = int(np.iinfo(np.int64).min)
"""Stands in `Page.time_ms` for a row without a timestamp."""

Reason = Literal["encoding", "name", "labels", "duplicate_label", "value", "timestamp", "exemplar", "type"]
"""Which part of a row cannot be read; `type` is of a `# TYPE` comment, after which its rows count as untyped."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What a line says before its value: the name exactly as the page writes it, its labels, and its family's type.

    The types that only OpenMetrics has are told in the words we have: info, stateset and gaugehistogram are gauges, unknown
    is untyped, and the `_created` of a family, a time, is a gauge.
    """

    name: str
    labels: Mapping[str, str]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many rows of a page could not be read for one reason, and the first of them, at most 120 characters of it."""

    rows: int
    example: str


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The lines of a page in their order, and the value of each, float64[n]; values may be NaN or infinite.

    `lines` is the same object from page to page for as long as nothing but values, timestamps and exemplars changes.
    `time_ms`, unix time, int64[n], is None where no row has a timestamp, and `NO_TIME_MS` for a row without one. `dropped`
    tells of the rows that could not be read.
    """

    lines: tuple[Line, ...]
    values: Float64
    time_ms: Int64 | None = None
    dropped: Mapping[Reason, Dropped] = field(default_factory=dict)
