"""How long it takes to fill in a week and to learn from it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.history_server import served_history
from benchmarks.report import Row
from collectors.query_api import QueryApi
from detectors.stage import DetectorStage
from recwatch.app.config import WatchedService
from recwatch.app.filling import Filling, wanted_of
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store

DAYS = 7.0
TARGETS, OF_EACH = 5, 200


def backfill(out: Console) -> Sequence[Row]:
    """A stand-in for a Prometheus, in a process of its own on the same machine, answers every query by a formula.

    Five recommenders of 200 series each are fetched, normalised and stored in the embedded engine; then the detectors learn.
    Seconds are of the wall clock, so whatever else the machine does is in them.
    """
    service = WatchedService.model_validate({"name": "shop", "receive": ['{job="shop"}']})
    with served_history(TARGETS, OF_EACH) as url, tempfile.TemporaryDirectory() as folder, closing(QueryApi(url)) as source:
        wanted = wanted_of(service, url, (), (), "1m")
        with closing(open_store(f"chdb://{Path(folder)}/store")) as store, Progress(console=out, transient=True) as progress:
            filling = Filling(store, source, wanted, SystemClock())
            began, cpu = time.perf_counter(), time.process_time()
            plan = filling.plan(DAYS)
            bar = progress.add_task("week", total=2 * (plan.end_ms - plan.start_ms) // wanted.step_ms)
            rows = 0

            def told(steps: int, more: int) -> None:
                nonlocal rows
                rows += more
                progress.update(bar, advance=steps)

            plan = filling.fill(plan, told)
            filled_s, filled_rows = time.perf_counter() - began, rows
            signals = filling.teach(DetectorStage({}), plan, 1000, told)
            whole_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return [
        Row(f"{TARGETS * OF_EACH:,} series for a week, every minute, in all", whole_s, "s", "<= 120"),
        Row("of which fetching, normalising and storing", filled_s, "s"),
        Row(f"of which learning {signals} signals", whole_s - filled_s, "s"),
        Row("CPU of this process, all threads", cpu_s, "s"),
        Row("rows stored", filled_rows, "rows"),
        Row("rows a second", filled_rows / filled_s, "rows/s"),
    ]
