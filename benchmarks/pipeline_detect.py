"""How much faster two detector workers are than one, each with a partition of two."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection as Line

from rich.console import Console
from rich.progress import track

from benchmarks.child import child
from benchmarks.pipeline_fleet import Fleet
from benchmarks.pipeline_live import LOOSE
from benchmarks.ratios import median_ratio
from benchmarks.report import Row
from detectors.stage import DetectorStage
from recwatch.app.runner import StageRunner
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.clock import SystemClock

FLEET = Fleet(services=40, targets=0, series=0)
TICKS = 50
ROUNDS = 3
START_MS = 1_700_000_000_000
PARTITIONS = 2
IDLE_S = 600.0
POLL_S = 0.1


def detect(place: Brokers, out: Console) -> Iterator[Row]:
    """Every round has topics of its own, and workers that begin anew."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for number in track(range(ROUNDS), "detecting", console=out, transient=True):
        for workers in list(taken)[:: -1 if number % 2 else 1]:
            taken[workers].append(_round(replace(place, prefix=f"round-{number}-{workers}"), workers))
    rate = FLEET.samples * TICKS / sorted(taken[1])[ROUNDS // 2]
    yield Row("judged and published by one detector worker", rate, "signals/s")
    yield Row("two detector workers on two partitions, over one", median_ratio(taken[1], taken[2]), "ratio")


def _round(place: Brokers, workers: int) -> float:
    """Seconds until all ticks were judged that lay on the broker when the workers were let go."""
    with ExitStack() as opened:
        bus = opened.enter_context(closing(kafka_bus(place, partitions=PARTITIONS)))
        FLEET.define(bus)
        lines = [opened.enter_context(child(_work, place)) for _ in range(workers)]
        for line in lines:
            line.recv()
        for line in lines:
            line.send("hold")
        for line in lines:
            line.recv()
        FLEET.publish(bus, range(TICKS), START_MS)
        began_s = time.monotonic()
        for line in lines:
            line.send("go")
        judged = 0
        while judged < FLEET.messages * TICKS:
            judged += sum(line.recv() for line in lines if line.poll(POLL_S / workers))
        return time.monotonic() - began_s


def _work(place: Brokers, line: Line) -> None:
    """Join the group, hold still when told, and from then on tell how many ticks were judged since it was last told."""
    make = partial(DetectorStage, dict.fromkeys(FLEET.names, LOOSE))
    with closing(kafka_bus(place, stall_s=IDLE_S)) as bus:
        runner = StageRunner(make(), bus, SystemClock(), again=make)
        while not runner.counts.rebalances:
            runner.step(POLL_S)
        line.send("joined")
        while not line.poll():
            runner.step(POLL_S)
        line.send(line.recv())
        line.recv()
        told = runner.counts.records
        while True:
            runner.step(POLL_S)
            if runner.counts.records > told:
                line.send(runner.counts.records - told)
                told = runner.counts.records
