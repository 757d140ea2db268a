"""What watching costs the watched: the reference recommender's latency with recwatch at work and with recwatch paused."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from rich.console import Console
from rich.progress import Progress

from benchmarks import clients
from benchmarks.clients import Answers
from benchmarks.monitor import Memory, Monitor
from benchmarks.ratios import quantile_ratio
from benchmarks.report import Row
from recwatch.app.children import Child
from recwatch.app.patient import RATE_PER_SECOND, Patient
from recwatch.core.errors import Unavailable

T = TypeVar("T")

START_S = 60.0
ANSWERS_END_S = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What clients saw in two blocks of equal length, one right after the other."""

    watched: Answers
    alone: Answers


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time over the time that passed, in cores: of recwatch, and of whatever else ran beside the pairs."""

    recwatch_cores: float
    others_cores: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """One even load, and blocks of it in pairs: with recwatch scraping every second, and with recwatch stopped by SIGSTOP.

    Blocks are short, so that what else the machine does falls on both sides; which of a pair comes first is drawn by lot.
    Stopped, recwatch keeps its memory and takes no CPU; what it has to catch up on counts against it. Quantiles are those of
    every request of a side; the interval is the bootstrap over pairs. CPU of recwatch is taken before that, over
    `steady_s` in which it is never stopped.
    The load is half of the demo's, so that queueing does not multiply what else the machine does. CPU of others is what ran
    beside the recommender, its clients and recwatch: the more, the less the interval tells of recwatch. Memory is resident,
    pages that processes share counted in each of them.
    """

    rate: float = RATE_PER_SECOND / 2
    pairs: int = 50
    block_s: float = 4.0
    warm_up_s: float = 20.0
    steady_s: float = 60.0
    seed: int = 7

    def __call__(self, out: Console) -> Sequence[Row]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recwatch-overhead-")))
            progress = stack.enter_context(Progress(console=out, transient=True))
            task = progress.add_task("the recommender starts", total=2 * self.pairs)
            patient = Patient(self.seed)
            stack.callback(patient.stop)
            device = _until(patient.device, "the recommender answers")
            monitor = stack.enter_context(Monitor(patient.url, device, folder))
            progress.update(task, description="recwatch warms up")
            with monitor.watching():
                _until(monitor.answering, "recwatch answers")
            seconds = self.warm_up_s + self.steady_s + 2 * self.pairs * self.block_s + 1.0
            sending = clients.command(patient.url, self.rate, seconds, self.seed, folder / "answers.npy")
            load = stack.enter_context(Child("the clients", sending))
            with monitor.watching():
                time.sleep(self.warm_up_s)
                monitor.forget_cpu()
                time.sleep(self.steady_s)
            steady_cores = monitor.cpu_ratio
            monitor.forget_cpu()
            progress.update(task, description="blocks in turns")
            ours = [psutil.Process(child.pid) for child in (patient.server, load)]
            busy_s, began_s = _busy_s(ours), time.monotonic()
            stretches = [self._stretches(first, monitor, lambda: progress.advance(task)) for first in self._lots()]
            load.require_running()
            others_s = _busy_s(ours) - busy_s - monitor.cpu_s
            cost = Cost(steady_cores, others_s / (time.monotonic() - began_s))
            _until(lambda: not load.running(), "the last answers come", ANSWERS_END_S)
            answers = Answers.read(folder / "answers.npy")
            progress.update(task, description="the console is opened")
            with monitor.watching():
                memory = monitor.memory_with_console()
        pairs = [Pair(answers.between(*watched), answers.between(*alone)) for watched, alone in stretches]
        return overhead_rows(pairs, cost, memory, self.seed)

    def _lots(self) -> list[bool]:
        """Whether recwatch watches in the first block of each pair."""
        return [bool(lot) for lot in np.random.default_rng(self.seed).integers(2, size=self.pairs)]

    def _stretches(
        self, watched_first: bool, monitor: Monitor, advance: Callable[[], None]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """When the watched and the other block of a pair began and ended."""
        stretches = {}
        for watched in (watched_first, not watched_first):
            with monitor.watching() if watched else ExitStack():
                began_s = time.monotonic()
                time.sleep(self.block_s)
                stretches[watched] = (began_s, time.monotonic())
            advance()
        return stretches[True], stretches[False]


def overhead_rows(pairs: Sequence[Pair], cost: Cost, memory: Memory, seed: int) -> list[Row]:
    """The rows of a run."""
    watched, alone = ([getattr(pair, side).latency_s for pair in pairs] for side in ("watched", "alone"))
    p99, p50 = (quantile_ratio(watched, alone, share, seed) for share in (0.99, 0.5))
    answered = [np.concatenate([getattr(pair, side).ok for pair in pairs]).mean() for side in ("watched", "alone")]
    return [
        Row("p99, watched", 1000 * float(np.quantile(np.concatenate(watched), 0.99)), "ms"),
        Row("p99, alone", 1000 * float(np.quantile(np.concatenate(alone), 0.99)), "ms"),
        Row(f"p99 watched over alone, {len(pairs)} pairs pooled", p99.mid, "ratio"),
        Row("p99 watched over alone, 95 % interval, lower end", p99.low, "ratio"),
        Row("p99 watched over alone, 95 % interval, upper end", p99.high, "ratio", "<= 1.05"),
        Row("p50 watched over alone", p50.mid, "ratio"),
        Row("p50 watched over alone, 95 % interval, lower end", p50.low, "ratio"),
        Row("p50 watched over alone, 95 % interval, upper end", p50.high, "ratio"),
        Row("answered share of the requests, watched over alone", float(answered[0] / answered[1]), "ratio", ">= 0.99"),
        Row("CPU of recwatch", 100 * cost.recwatch_cores, "% of a core", "<= 3"),
        Row("CPU of others beside the pairs", 100 * cost.others_cores, "% of a core"),
        Row("resident memory of recwatch", memory.recwatch_mb, "MB"),
        Row("resident memory of its console, its page drawn once", memory.console_mb, "MB"),
        Row("of both, pages of files, which the system may take back", memory.files_mb, "MB"),
        Row("resident memory in all", memory.recwatch_mb + memory.console_mb, "MB", "<= 600"),
    ]


def _busy_s(ours: Sequence[psutil.Process]) -> float:
    """CPU seconds that the whole machine has spent working, on anything but these processes."""
    whole = psutil.cpu_times()
    idle_s = whole.idle + getattr(whole, "iowait", 0.0)
    return sum(whole[:8]) - idle_s - sum(sum(process.cpu_times()[:2]) for process in ours)


def _until(seek: Callable[[], T | None], what: str, within_s: float = START_S) -> T:
    ends_s = time.monotonic() + within_s
    while not (found := seek()):
        if time.monotonic() > ends_s:
            raise Unavailable(f"Within {within_s:.0f} s this did not happen: {what}.")
        time.sleep(0.2)
    return found
