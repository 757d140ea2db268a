"""A file of readings as the past of one service: CSV or Parquet, with labels in it or beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute, csv, parquet

from detectors.backtest import Marked
from detectors.event_score import events_of
from detectors.labelled import LabelledSeries, Run, labelled_file
from recwatch.app.backtest.history import Asked, History, Span
from recwatch.core.canonical import SIGNALS, canonical_series
from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Samples, Series, SeriesSet

COLUMNS = "time (or timestamp), value and, if there are several series, series; label is 1 where something was the matter"
KINDS = (".csv", ".csv.gz", ".parquet")
PARTS = 100


def read_file(path: Path, asked: Asked) -> History:
    """The readings of a file. A series that is called as a canonical signal is judged as one.

    Times are unix seconds, or dates with times; those of a labelled folder have their labels beside them. A reading that is
    missing or not finite is left out; of two of one time the first counts. Raises BadInput for a file of another form.
    """
    if not path.name.endswith(KINDS):
        raise BadInput(f"{path} is none of {', '.join(KINDS)}; give a configuration (.yaml), or a file of readings")
    labelled = labelled_file(path) if path.is_file() else None
    found = [labelled] if labelled else _series_of(path, _table(path))
    service = path.name.partition(".")[0]
    named = [(_series(service, one.id), one) for one in found]
    samples = _samples(service, named)
    if not len(samples):
        raise BadInput(f"{path}: no row has both a time and a value; a file needs the columns {COLUMNS}")
    first_ms, last_ms = int(samples.time_ms[0]), int(samples.time_ms[-1])
    counted_from_ms = first_ms if labelled is None else round(1000 * labelled.time_s[labelled.first_scored])
    span = asked.of(Span(first_ms, counted_from_ms, last_ms))
    step_s = float(np.median([one.step_s for one in found]))
    marked = _marked(named)

    def batches() -> Iterator[Samples]:
        ends = np.linspace(span.start_ms, span.end_ms + 1, PARTS + 1).astype(np.int64)
        for first, last in pairwise(np.searchsorted(samples.time_ms, ends).tolist()):
            rows = slice(first, last)
            yield Samples(service, "", samples.time_ms[rows], samples.series_id[rows], samples.value[rows])

    known = SeriesSet(service, tuple(series for series, _ in named))
    return History(known, step_s, span, marked, (), batches)


def _series(service: str, name: str) -> Series:
    if name in SIGNALS:
        return canonical_series(service, name)
    return Series(name, {"service": service}, "", "gauge", service)


def _samples(service: str, named: Sequence[tuple[Series, LabelledSeries]]) -> Samples:
    """All finite readings in time order, one of each series a time."""
    finite = [np.isfinite(one.value) for _, one in named]
    times = np.concatenate([np.round(1000 * one.time_s[kept]) for (_, one), kept in zip(named, finite, strict=True)])
    value = np.concatenate([one.value[kept] for (_, one), kept in zip(named, finite, strict=True)])
    ids = np.repeat(np.array([series.id for series, _ in named], np.uint64), [int(kept.sum()) for kept in finite])
    order = np.lexsort((ids, times))
    times, ids, value = times[order].astype(np.int64), ids[order], value[order]
    fresh = np.append(True, (np.diff(times) != 0) | (np.diff(ids) != 0))[: len(times)]
    return Samples(service, "", times[fresh], ids[fresh], value[fresh])


def _marked(named: Sequence[tuple[Series, LabelledSeries]]) -> tuple[Marked, ...]:
    """The labelled events by time; what begins and ends together is one."""
    showing: dict[tuple[int, int], set[int]] = {}
    for series, labels in named:
        for first, last in events_of(labels):
            start_s, end_s = labels.clock_s[[first, last]].tolist()
            showing.setdefault((round(1000 * start_s), round(1000 * end_s)), set()).add(series.id)
    return tuple(Marked(*ends, "labelled", frozenset(ids)) for ends, ids in sorted(showing.items()))


def _table(path: Path) -> pa.Table:
    try:
        return parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); give a file of readings") from error
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path} is no table ({str(error).splitlines()[0]}); it needs the columns {COLUMNS}") from error


def _series_of(path: Path, table: pa.Table) -> list[LabelledSeries]:
    """Each series of a table, in the order of their names."""
    time_s = _seconds(path, _column(path, table, "time", "timestamp"))
    value = _numbers(path, "value", _column(path, table, "value"))
    label = np.zeros(len(table)) if "label" not in table.column_names else _numbers(path, "label", table["label"])
    names = np.full(len(table), path.name.partition(".")[0], dtype=object)
    if "series" in table.column_names:
        names = np.array(compute.cast(table["series"], pa.string()).to_pylist(), dtype=object)
        names[[name is None for name in names]] = ""
    told = np.isfinite(time_s)
    return [
        _one(str(name), time_s[rows], value[rows], label[rows])
        for name in sorted(set(names[told].tolist()))
        for rows in [np.flatnonzero(told & (names == name))]
    ]


def _one(name: str, time_s: Float64, value: Float64, label: Float64) -> LabelledSeries:
    order = np.argsort(time_s, kind="stable")
    time_s, value, label = time_s[order], value[order], label[order]
    steps = np.diff(time_s)
    step_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    return LabelledSeries(name, "file", "interval", step_s, time_s, value, runs=_runs(label > 0))


def _runs(labelled: npt.NDArray[np.bool_]) -> list[Run]:
    """The unbroken runs of labelled rows.

    >>> _runs(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], labelled, [False])).astype(np.int8)))
    return [(first, end - 1) for first, end in edges.reshape(-1, 2).tolist()]


def _column(path: Path, table: pa.Table, *names: str) -> Any:
    for name in names:
        if name in table.column_names:
            return table[name]
    there = ", ".join(table.column_names) or "none"
    raise BadInput(f"{path}: column '{names[0]}' is missing; it needs the columns {COLUMNS}. There are: {there}")


def _numbers(path: Path, name: str, column: Any) -> Float64:
    """NaN where there is no number."""
    try:
        return np.array(compute.cast(column, pa.float64()).fill_null(float("nan")), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(f"{path}: column '{name}' holds {column.type}, not numbers; mend or rename it") from error


def _seconds(path: Path, column: Any) -> Float64:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        moments = compute.cast(column, pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        return _numbers(path, "time", compute.cast(moments, pa.int64())) / 1e6
    return _numbers(path, "time", column)
