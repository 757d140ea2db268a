"""What watching costs the watched: the reference recommender's latency with recwatch at work and with recwatch paused."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.monitor import Memory, Monitor
from benchmarks.ratios import median_ratio, median_ratio_interval
from benchmarks.report import Row
from recwatch.app.patient import RATE_PER_SECOND, Patient
from recwatch.core.errors import Unavailable

START_S = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """What the clients of one block saw; latency counts from the moment when a request was due."""

    p50_ms: float
    p99_ms: float
    answered_per_second: float

    @classmethod
    def of(cls, summary: str) -> Block:
        """From the last line of the load generator.

        >>> Block.of('{"summary": true, "seconds": 2.0, "ok": 220, "p50_ms": 21.0, "p99_ms": 80.5}')
        Block(p50_ms=21.0, p99_ms=80.5, answered_per_second=110.0)
        """
        told = json.loads(summary)
        return cls(told["p50_ms"], told["p99_ms"], told["ok"] / told["seconds"])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two blocks with the same arrivals of the same users, one right after the other."""

    watched: Block
    alone: Block


@dataclass(frozen=True, slots=True)
class Overhead:
    """Blocks of equal load, in pairs, with recwatch scraping every second and with recwatch stopped by SIGSTOP, in turns.

    Stopped it keeps its memory and takes no CPU, and no block pays for its start. p99 is the clients', of a whole block; its
    interval is the bootstrap over pairs. Memory is resident, pages that processes share counted in each of them.
    """

    pairs: int = 10
    block_s: float = 10.0
    warm_up_s: float = 30.0
    seed: int = 7

    def __call__(self, out: Console) -> Sequence[Row]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recwatch-overhead-")))
            progress = stack.enter_context(Progress(console=out, transient=True))
            task = progress.add_task("the recommender starts", total=2 * self.pairs)
            patient = Patient(self.seed)
            stack.callback(patient.stop)
            _until(lambda: patient.device() is not None, "the recommender answers")
            monitor = stack.enter_context(Monitor(patient.url, folder))
            progress.update(task, description="recwatch warms up")
            with monitor.watching():
                _until(monitor.answering, "recwatch answers")
                self._load(patient.url, self.warm_up_s, seed=0)
            monitor.forget_cpu()
            progress.update(task, description="blocks in turns")
            pairs = [
                self._pair(number, patient.url, monitor, lambda: progress.advance(task)) for number in range(self.pairs)
            ]
            progress.update(task, description="the console is opened")
            with monitor.watching():
                memory = monitor.memory_with_console()
        return overhead_rows(pairs, monitor.cpu_ratio, memory, self.seed)

    def _pair(self, number: int, url: str, monitor: Monitor, advance: Callable[[], None]) -> Pair:
        """Both blocks of a pair; which comes first changes from pair to pair."""
        blocks = {}
        for watched in (True, False) if number % 2 else (False, True):
            with monitor.watching() if watched else ExitStack():
                blocks[watched] = self._load(url, self.block_s, seed=number + 1)
            advance()
        return Pair(watched=blocks[True], alone=blocks[False])

    def _load(self, url: str, seconds: float, seed: int) -> Block:
        options = {"url": url, "rate": RATE_PER_SECOND, "duration": seconds, "amplitude": 0.0, "seed": seed}
        flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "recommender_ref", "load", *flags]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise Unavailable(f"The load generator ended with exit code {ended.returncode}: {ended.stderr.strip()[-200:]}")
        return Block.of(ended.stdout.splitlines()[-1])


def overhead_rows(pairs: Sequence[Pair], cpu_ratio: float, memory: Memory, seed: int) -> list[Row]:
    """The rows of a run. `cpu_ratio` is recwatch's CPU time over the time for which it watched."""
    p99 = median_ratio_interval([p.watched.p99_ms for p in pairs], [p.alone.p99_ms for p in pairs], seed)
    p50 = median_ratio([p.watched.p50_ms for p in pairs], [p.alone.p50_ms for p in pairs])
    rate = median_ratio([p.watched.answered_per_second for p in pairs], [p.alone.answered_per_second for p in pairs])
    return [
        Row("p99, watched", float(np.median([p.watched.p99_ms for p in pairs])), "ms"),
        Row("p99, alone", float(np.median([p.alone.p99_ms for p in pairs])), "ms"),
        Row(f"p99 watched over alone, median of {len(pairs)} pairs", p99.mid, "ratio"),
        Row("p99 watched over alone, 95 % interval, lower end", p99.low, "ratio"),
        Row("p99 watched over alone, 95 % interval, upper end", p99.high, "ratio", "<= 1.05"),
        Row("p50 watched over alone", p50, "ratio"),
        Row(f"answers/s watched over alone, {RATE_PER_SECOND:.0f} requests/s offered", rate, "ratio", ">= 0.99"),
        Row("CPU of recwatch while it watches", 100 * cpu_ratio, "% of a core", "<= 3"),
        Row("resident memory of recwatch", memory.recwatch_mb, "MB"),
        Row("resident memory of its console, its page drawn once", memory.console_mb, "MB"),
        Row("resident memory in all", memory.recwatch_mb + memory.console_mb, "MB", "<= 600"),
    ]


def _until(ready: Callable[[], bool], what: str) -> None:
    ends_s = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > ends_s:
            raise Unavailable(f"Within {START_S:.0f} s this did not happen: {what}.")
        time.sleep(0.2)
