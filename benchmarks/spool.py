"""What the spool costs while the bus takes everything, and how fast it keeps and later publishes what the bus did not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.bus import real_broker, tick
from benchmarks.report import Row
from benchmarks.timing import in_turns
from recwatch.core.bus import Bus
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.bus.spool import Spool
from recwatch.core.signals import Samples

SAMPLES = 500
TURN = 50
ROUNDS = 20
MESSAGES = 4_000
SERVICES = 100
ROOMY = 2**30


def spool(out: Console) -> Sequence[Row]:
    """Messages of 500 samples. Straight through, the spool and the bare bus take turns at a real broker on this machine.

    What is kept is kept by one thread before a bus that is full, and then published to the broker, 100 services in turns.
    """
    ticks = [tick(SAMPLES, seed) for seed in range(50)]
    with (
        tempfile.TemporaryDirectory() as folder,
        real_broker() as place,
        closing(kafka_bus(place, partitions=4)) as bus,
    ):
        return [*_straight(bus, Path(folder), ticks, out), *_kept_and_replayed(bus, Path(folder), ticks)]


def _straight(bus: Bus, folder: Path, ticks: Sequence[Samples], out: Console) -> Iterator[Row]:
    with closing(Spool(folder, bus, ROOMY)) as spool:
        sides = {"bus": partial(_publish, bus, ticks, TURN), "spool": partial(_publish, spool, ticks, TURN)}
        taken = in_turns(sides, track(range(ROUNDS), "publishing", console=out, transient=True))
    rates = {name: TURN / float(np.median(seconds)) for name, seconds in taken.items()}
    yield Row("straight through", rates["spool"], "messages/s")
    yield Row("straight through, over the bare bus", rates["spool"] / rates["bus"], "ratio")


def _kept_and_replayed(bus: Bus, folder: Path, ticks: Sequence[Samples]) -> Iterator[Row]:
    full = MemoryBus(partitions=1, capacity=1, max_block_s=0.0)
    full.subscribe("nobody", ["samples"])
    full.publish("samples", "shop", ticks[0])
    with closing(Spool(folder, full, ROOMY)) as keeping:
        taken_s = _publish(keeping, ticks, MESSAGES)
        kept_bytes = keeping.size_bytes
    yield Row("kept on disk", MESSAGES * SAMPLES / taken_s, "samples/s")
    yield Row("kept on disk", kept_bytes / taken_s / 2**20, "MiB/s")
    yield Row("kept on disk, size", kept_bytes / (MESSAGES * SAMPLES), "bytes/sample")
    with closing(Spool(folder, bus, ROOMY)) as replaying:
        began = time.perf_counter()
        while replaying.size_bytes:
            replaying.replay()
        taken_s = time.perf_counter() - began
    yield Row("replayed to the broker", MESSAGES / taken_s, "messages/s")
    yield Row("replayed to the broker", MESSAGES * SAMPLES / taken_s, "samples/s")


def _publish(to: Bus | Spool, ticks: Sequence[Samples], count: int) -> float:
    """Seconds that it took."""
    began = time.perf_counter()
    for number, one in zip(range(count), cycle(ticks), strict=False):
        to.publish("samples", f"service-{number % SERVICES}", one)
    return time.perf_counter() - began
