"""What each part of latency given load is worth: the bench of slow-downs, with one part left out at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.detect_load import OURS, found_and_false, made_worlds, panel_alarms
from benchmarks.report import Row
from detectors import latency_given_load as method
from detectors.latency_given_load import CACHE, LOAD, LatencyGivenLoad
from detectors.panel import Batch
from detectors.peaks import Peaks
from detectors.sustained import Sustained
from recwatch.core.signals import Float64, Int64, Judgement

Part = Callable[[], AbstractContextManager[object]]


def _nothing(_: object, row: Int64, *__: object) -> Float64:
    return np.zeros(len(row))


def _unknown(*signals: str) -> Part:
    """Without these signals: one cache for all loads, or one load for all latencies."""
    told = LatencyGivenLoad.update

    def update(self: LatencyGivenLoad, batch: Batch) -> Judgement:
        blank = {LOAD: np.ones(len(batch)), CACHE: np.full(len(batch), np.nan)}
        beside = {**batch.beside, **{signal: blank[signal] for signal in signals}}
        return told(self, Batch(batch.row, batch.time_ms, batch.value, beside))

    return partial(patch.object, LatencyGivenLoad, "update", update)


PARTS: Mapping[str, Part] = {
    "as it is": nullcontext,
    "no load, no cache": _unknown(LOAD, CACHE),
    "no cache": _unknown(CACHE),
    "no slope over the share of misses": partial(patch.object, LatencyGivenLoad, "_learn_misses", lambda *_: None),
    "no band for what lasts": partial(patch.object, LatencyGivenLoad, "_lasting", _nothing),
    "half way five times counts for nothing": partial(patch.object, Sustained, "score", _nothing),
    "no caution where little was seen": partial(patch.multiple, method, CAUTION_ROWS=0.0, LASTING_CAUTION_ROWS=0.0),
    "no peaks of its own": partial(patch.object, Peaks, "reach", lambda _, row, __: np.ones(len(row))),
}


def detect_load_parts(out: Console) -> Sequence[Row]:
    """The bench `detect_load` for latency given load, whole and with one part left out at a time."""
    worlds = made_worlds(out)
    rows = []
    for name, part in track(PARTS.items(), "parts", console=out, transient=True):
        with part():
            rows += found_and_false(f"{OURS}, {name}", worlds, panel_alarms(LatencyGivenLoad(), worlds))
    return rows
