"""What the default costs in memory, and how long it takes, where a million series come at once."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import psutil
from rich.console import Console

from benchmarks.report import Row
from detectors import METHODS
from detectors.panel import Batch

SERIES = 1_000_000
TICKS = 30
DAYS = 2
HELD = ("robust_band", "flat_line", "forecast")
MIB = 2**20


def detect_size(out: Console) -> Sequence[Row]:
    """A panel of a million series, new all at once, 30 readings each over two days; memory is the process's, at its most."""
    return [row for name in HELD for row in _rows(name, out)]


def _rows(name: str, out: Console) -> list[Row]:
    method, row = METHODS[name](), np.arange(SERIES)
    random, process = np.random.default_rng(0), psutil.Process()
    before = process.memory_info().rss
    most, taken = before, []
    for tick in range(TICKS):
        value = 10.0 + random.standard_normal(SERIES)
        value[:: SERIES // 10] = (np.nextafter(1e308, 0), -1e308, 0.0, 5e-324, 1e100, -1e100, 1.0, -1.0, 1e9, -1e-9)
        batch = Batch(row, np.full(SERIES, tick * DAYS * 86_400_000 // TICKS), value, {})
        start = perf_counter()
        judgement = method.update(batch)
        taken.append(perf_counter() - start)
        most = max(most, process.memory_info().rss)
        assert not np.isinf(judgement.score).any()
    state = sum(column.nbytes for column in method.state().values())
    out.print(f"{name}: {most / MIB:.0f} MiB at most", style="dim")
    return [
        Row(f"{name}, state a series", state / SERIES, "bytes", "<= 2048" if name == "robust_band" else None),
        Row(f"{name}, memory of the process a series, at most", (most - before) / SERIES, "bytes"),
        Row(f"{name}, {SERIES:,} series in one call", float(np.median(taken)), "seconds"),
    ]
