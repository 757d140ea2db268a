"""Words for numbers: series, their samples, and what a detector says of them.

They travel as columns. Words for events are in `recwatch.core.events` and `recwatch.core.proposals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import xxhash

from recwatch.core.errors import BadInput

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Float64 = npt.NDArray[np.float64]

Kind = Literal["gauge", "counter", "histogram", "summary", "untyped"]


def series_key(name: str, labels: Mapping[str, str]) -> str:
    r"""The canonical text of a series: its name and its labels, sorted by name, escaped as Prometheus escapes them.

    >>> series_key("queue_depth", {"service": "shop", "model": 'a"b'})
    'queue_depth{model="a\\"b",service="shop"}'
    """
    pairs = ",".join([f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items())])
    return f"{name}{{{pairs}}}"


def _escaped(text: str) -> str:
    if text.isalnum():
        return text
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: what it is called, what it measures, and of whom.

    `labels` includes `service`; raw series also carry `job` and `instance`. `target` is the URL it was scraped from, and
    empty for a canonical signal, which belongs to the service as a whole.
    """

    name: str
    labels: Mapping[str, str]
    unit: str
    kind: Kind
    service: str
    target: str = ""
    id: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", xxhash.xxh3_64_intdigest(self.key.encode()))

    @property
    def key(self) -> str:
        """The canonical text that `id` (xxh3_64) is the hash of."""
        return series_key(self.name, self.labels)

    @property
    def canonical(self) -> bool:
        """Whether this is a signal of the whole service rather than a series of one target."""
        return not self.target

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class SeriesSet:
    """Every series of a service known so far. The topic `series` is compacted by service, so each message is complete."""

    service: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A columnar batch of readings of one target (or, with an empty target, of the service as a whole).

    `time_ms` int64[n] is unix time in milliseconds, `series_id` uint64[n], `value` float64[n]. Values are finite: a missing
    reading is an absent row. Rows of one series are in time order.
    """

    service: str
    target: str
    time_ms: Int64
    series_id: UInt64
    value: Float64

    def __post_init__(self) -> None:
        if not len(self.time_ms) == len(self.series_id) == len(self.value):
            lengths = sorted({len(self.time_ms), len(self.series_id), len(self.value)})
            raise BadInput(f"Samples of {self.service}: columns of unequal length {lengths}; give n rows in each")

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def of(cls, service: str, target: str, time_ms: int, readings: Mapping[int, float]) -> Samples:
        """One tick: the value of each series id at `time_ms`. Values that are not finite are left out.

        >>> Samples.of("shop", "", 1_000, {7: 0.5, 8: float("nan")}).value
        array([0.5])
        """
        ids = np.fromiter(readings.keys(), dtype=np.uint64, count=len(readings))
        values = np.fromiter(readings.values(), dtype=np.float64, count=len(readings))
        finite = np.isfinite(values)
        return cls(service, target, np.full(int(finite.sum()), time_ms, dtype=np.int64), ids[finite], values[finite])

    @classmethod
    def concat(cls, batches: Iterable[Samples]) -> Samples:
        """All rows of batches of one service and target, in the order given."""
        batches = list(batches)
        first = batches[0]
        return cls(
            first.service,
            first.target,
            np.concatenate([b.time_ms for b in batches]),
            np.concatenate([b.series_id for b in batches]),
            np.concatenate([b.value for b in batches]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a detector says of each row of the batch it was given; all float64[n], aligned to the rows.

    `score` is 0 at the expected value and 1 at the edge where the detector would alarm. NaN in any column means that the
    detector abstains for that row (warming up, or lacking a signal it needs).
    """

    score: Float64
    expected: Float64
    lower: Float64
    upper: Float64

    @classmethod
    def abstain(cls, rows: int) -> Judgement:
        """No opinion on any of `rows` rows."""
        return cls(*(np.full(rows, np.nan) for _ in range(4)))
