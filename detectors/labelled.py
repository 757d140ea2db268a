"""Labelled series, on which detection is scored: one form, read from a labelled folder or from a clone of NAB."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64

Run = tuple[int, int]
"""First and last row of an unbroken run of labelled readings."""

DAY_S = 86_400.0
NAB = "nab"
PROBATION_RATIO = 0.15
PROBATION_ROWS = 750
"""What NAB lets a detector learn from before it counts: this share of a file, at most so many rows."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSeries:
    """One series and what people said of it.

    `time_s` float64[n] is unix seconds (the row number in `tcpd`), `value` float64[n] finite. `runs` are labelled
    anomalies, `annotators` change points by person, as rows. Readings before `first_scored` are for learning only.
    """

    id: str
    source: str
    kind: str
    step_s: float
    time_s: Float64
    value: Float64
    first_scored: int = 0
    runs: Sequence[Run] = ()
    annotators: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.value)

    @property
    def metadata(self) -> dict[str, Any]:
        """What a detector may know of the series."""
        return {"kind": self.kind, "step_s": self.step_s}

    @property
    def clock_s(self) -> Float64:
        """`time_s` held where it steps back, so that differences are never negative."""
        clock: Float64 = np.maximum.accumulate(self.time_s)
        return clock

    @property
    def scored_days(self) -> float:
        return float(max(self.clock_s[-1] - self.time_s[: self.first_scored + 1].max(), self.step_s) / DAY_S)


def read_labelled(folder: Path) -> Iterator[LabelledSeries]:
    """The series of a folder with `manifest.csv`, `labels.json` and `SOURCE/NAME.csv.gz`, in the manifest's order.

    Raises BadInput where the folder is not of that form.
    """
    manifest, labels = _index(folder)
    for name in manifest:
        yield _read(folder, manifest[name], labels[name])


def labelled_file(file: Path) -> LabelledSeries | None:
    """The series in a file of such a folder; None where the file is none."""
    folder = file.resolve().parent.parent
    if not (folder / "labels.json").is_file():
        return None
    manifest, labels = _index(folder)
    name = f"{file.resolve().parent.name}/{file.name.removesuffix('.csv.gz')}"
    return _read(folder, manifest[name], labels[name]) if name in manifest else None


def _index(folder: Path) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """The manifest's rows and the labels, by series."""
    try:
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        with (folder / "manifest.csv").open(encoding="utf-8", newline="") as lines:
            return {row["series_id"]: row for row in csv.DictReader(lines)}, labels
    except FileNotFoundError as error:
        raise BadInput(f"{folder} holds no labelled series: {error.filename} is missing") from error


def _read(folder: Path, row: Mapping[str, str], label: Mapping[str, Any]) -> LabelledSeries:
    with gzip.open(folder / f"{row['series_id']}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return _labelled(row, label, *_columns(lines))


def _labelled(row: Mapping[str, str], label: Mapping[str, Any], time_s: Float64, value: Float64) -> LabelledSeries:
    name, source, kind, step_s = row["series_id"], row["source"], row["kind"], float(row["step_s"])
    if kind == "changepoint":
        return LabelledSeries(name, source, kind, step_s, time_s, _filled(value), annotators=label["annotators"])
    runs = tuple((_row(time_s, first), _row(time_s, last)) for first, last in label["events"])
    return LabelledSeries(name, source, kind, step_s, time_s, value, _row(time_s, label["score_start"]), runs)


def read_nab(clone: Path) -> Iterator[LabelledSeries]:
    """The series of a clone of the Numenta Anomaly Benchmark: `data/GROUP/NAME.csv` and `labels/combined_windows.json`.

    Raises BadInput where the folder is not of that form.
    """
    windows = clone / "labels" / "combined_windows.json"
    if not windows.exists():
        raise BadInput(f"{clone} is no clone of NAB: labels/combined_windows.json is missing")
    for name, pairs in json.loads(windows.read_text(encoding="utf-8")).items():
        with (clone / "data" / name).open(encoding="utf-8", newline="") as lines:
            time_s, value = _columns(lines)
        runs = tuple((_row(time_s, _seconds(first)), _row(time_s, _seconds(last))) for first, last in pairs)
        probation = min(int(PROBATION_RATIO * len(value)), PROBATION_ROWS)
        step_s = float(np.median(np.diff(time_s)))
        yield LabelledSeries(
            f"nab/{name.removesuffix('.csv').replace('/', '__')}", NAB, "interval", step_s, time_s, value, probation, runs
        )


def _columns(lines: TextIO) -> tuple[Float64, Float64]:
    rows = csv.reader(lines)
    next(rows)
    stamps, values = zip(*rows, strict=True)
    return np.array([_seconds(stamp) for stamp in stamps]), np.array([float(text or "nan") for text in values])


def _seconds(stamp: str) -> float:
    """Unix seconds of a number, or of a date and time in UTC.

    >>> _seconds("1396310400"), _seconds("2014-04-01 00:00:00.000000")
    (1396310400.0, 1396310400.0)
    """
    if ":" in stamp:
        return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()
    return float(stamp)


def _row(time_s: Float64, stamp_s: float) -> int:
    """The first row of a stamp; where no row has it, the first one after it."""
    exact = np.flatnonzero(time_s == stamp_s)
    return int(exact[0]) if len(exact) else int(np.searchsorted(np.maximum.accumulate(time_s), stamp_s))


def _filled(value: Float64) -> Float64:
    """Missing values on a straight line between their neighbours."""
    known = np.isfinite(value)
    return np.interp(np.arange(len(value)), np.flatnonzero(known), value[known])
