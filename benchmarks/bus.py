"""What the bus on Kafka does in a second, how long a message takes, and how large a sample is, by its compression."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.report import Row
from benchmarks.timing import in_turns
from cluster.java import Missing
from cluster.kafka import local_kafka
from recwatch.core.bus import Bus, Subscription, next_offsets
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.codec import COMPRESSION, decode, encode
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Float64, Samples

SIZES = (50, 500, 5000)
COMPRESSIONS = (None, "lz4", "zstd")
ROUNDS = 20
MESSAGES = 200
PINGS = 300
START_MS = 1_700_000_000_000


def bus(out: Console) -> Sequence[Row]:
    """Ticks of counters, gauges and times, each at one time; Arrow IPC streams, as they are on the wire.

    Compressions take turns in CPU time of one core. Through a real broker on this machine one process publishes from one
    thread, each message acknowledged before the next, and then reads. Latency is that of one message at a time.
    """
    rows = [row for size in SIZES for row in _codec(size, out)]
    with real_broker() as place, closing(kafka_bus(place, partitions=1)) as opened:
        return [*rows, *_throughput(opened, out), *_latency(opened, out)]


def tick(size: int, seed: int) -> Samples:
    """What a scrape brings: a third of it counters, a third whole numbers, a third measured times."""
    rng, parts = np.random.default_rng(seed), [size // 3, size // 3, size - 2 * (size // 3)]
    counters = np.random.default_rng(1).integers(0, 10**7, parts[0]) + seed * 100
    values = np.concatenate([counters, rng.integers(0, 64, parts[1]), rng.lognormal(-3, 1, parts[2]).round(6)])
    ids = np.random.default_rng(2).integers(0, 2**63, size).astype(np.uint64)
    return Samples("shop", "http://10.0.0.7:8000/metrics", np.full(size, START_MS + 1000 * seed), ids, values)


def _codec(size: int, out: Console) -> Iterator[Row]:
    ticks = [tick(size, seed) for seed in range(5)]
    repeats = max(1, 20_000 // size)
    writing: dict[str, Callable[[], object]] = {}
    reading: dict[str, Callable[[], object]] = {}
    sizes: dict[str, float] = {}
    for compression in COMPRESSIONS:
        name = compression or "plain"
        encoded = [encode("samples", one, compression) for one in ticks]
        sizes[name] = float(np.mean([len(one) for one in encoded])) / size
        writing[name] = partial(_repeat, partial(encode, "samples", compression=compression), cycle(ticks), repeats)
        reading[name] = partial(_repeat, partial(decode, "samples"), cycle(encoded), repeats)
    wrote = in_turns(writing, track(range(ROUNDS), f"writing {size}", console=out, transient=True), time.process_time)
    read = in_turns(reading, track(range(ROUNDS), f"reading {size}", console=out, transient=True), time.process_time)
    for name, bytes_each in sizes.items():
        yield Row(f"{name}, {size} samples a message", bytes_each, "bytes/sample")
        yield Row(f"{name}, {size}, encoded", _rate(size * repeats, wrote[name]), "samples/s")
        yield Row(f"{name}, {size}, decoded", _rate(size * repeats, read[name]), "samples/s")


def _repeat(work: Callable[[object], object], turn: Iterator[object], times: int) -> None:
    for _ in range(times):
        work(next(turn))


def _rate(count: int, taken_s: Float64) -> float:
    return count / float(np.median(taken_s))


def _throughput(opened: Bus, out: Console) -> Iterator[Row]:
    reader = opened.subscribe("throughput", ["samples"])
    ticks = [tick(SIZES[-1], seed) for seed in range(MESSAGES)]
    reader.poll(0)
    began = time.perf_counter()
    for one in track(ticks, "publishing", console=out, transient=True):
        opened.publish("samples", "shop", one)
    published_s = time.perf_counter() - began
    began = time.perf_counter()
    _read(reader, MESSAGES)
    read_s = time.perf_counter() - began
    reader.close()
    samples = MESSAGES * SIZES[-1]
    yield Row(f"published, {SIZES[-1]} samples a message, {COMPRESSION}", samples / published_s, "samples/s")
    yield Row("read, decoded and committed", samples / read_s, "samples/s")


def _read(reader: Subscription, messages: int) -> None:
    while messages:
        records = reader.poll(1.0)
        messages -= len(records)
        if records:
            reader.commit(next_offsets(records))


def _latency(opened: Bus, out: Console) -> Iterator[Row]:
    reader = opened.subscribe("latency", ["samples"])
    reader.poll(0)
    one = tick(SIZES[0], 0)
    taken_ms = []
    for _ in track(range(PINGS), "pinging", console=out, transient=True):
        began = time.perf_counter()
        opened.publish("samples", "shop", one)
        _read(reader, 1)
        taken_ms.append((time.perf_counter() - began) * 1000)
    reader.close()
    for name, share in {"median": 0.5, "p99": 0.99}.items():
        yield Row(f"publish to committed, one at a time, {name}", float(np.quantile(taken_ms, share)), "ms")


@contextmanager
def real_broker() -> Iterator[Brokers]:
    """A broker on this machine. Raises Unavailable where there is none."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            kafka = stack.enter_context(local_kafka(folder))
        except Missing as error:
            raise Unavailable(f"there is no broker to measure: {error}") from error
        yield Brokers((kafka.plain,))
