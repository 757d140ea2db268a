"""How fast a backlog on a real broker gets into the engine: through the sink, and through a bare loop."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Line
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import pyarrow as pa
from kafka import KafkaConsumer
from rich.console import Console
from rich.progress import track

from benchmarks.child import child
from benchmarks.disk import FOREVER
from benchmarks.pipeline_fleet import Fleet
from benchmarks.ratios import median_ratio
from benchmarks.report import Row
from recwatch.app.access import keep_token
from recwatch.app.runner import StageRunner
from recwatch.app.store_server import WRITER, StoreServer
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE, Connection, parse_dsn
from recwatch.core.store.rows import TIME
from recwatch.core.store.served import User
from recwatch.core.store.sink import FLUSH_ROWS, Sink

PARTITIONS = 4
TICKS = 40
ROUNDS = 4
START_MS = 1_700_000_000_000
IDLE_S = 600.0
"""How long a side may wait for its turn and stay a member of its group."""
JOIN_S = 0.2
ENGINES = ("in the sink's process", "served")


@dataclass(frozen=True, slots=True)
class Side:
    """A reader of the backlog: through the sink or bare, into an engine of its own at `dsn`."""

    group: str
    dsn: str
    bare: bool


class Reader(Protocol):
    """Takes in what is on the broker; `messages` counts those that it was given so far."""

    @property
    def messages(self) -> int: ...

    def step(self) -> None: ...

    def flush(self) -> None: ...


def drain(place: Brokers, folder: Path, fleet: Fleet, out: Console) -> Iterator[Row]:
    """Rows of every engine, each beside a bare loop in the same rounds."""
    with ExitStack() as opened:
        bus = opened.enter_context(closing(kafka_bus(place, partitions=PARTITIONS)))
        fleet.define(bus)
        turns = {
            (engine, bare): _Turns(opened.enter_context(_side(place, folder, engine, bare)))
            for engine in ENGINES
            for bare in (False, True)
        }
        for number in track(range(ROUNDS + 1), "draining", console=out, transient=True):
            fleet.publish(bus, range(number * TICKS, (number + 1) * TICKS), START_MS)
            for side in list(turns.values())[:: -1 if number % 2 else 1]:
                side.take(fleet.messages * TICKS)
        yield from _rows(turns, fleet.samples * TICKS)


def _rows(turns: Mapping[tuple[str, bool], _Turns], samples: int) -> Iterator[Row]:
    for engine in ENGINES:
        ours, bare = turns[engine, False], turns[engine, True]
        yield Row(f"Kafka to the engine {engine}", samples / float(np.median(ours.seconds)), "samples/s", ">= 300000")
        yield Row("the same, over a bare loop", median_ratio(bare.seconds, ours.seconds), "ratio", ">= 0.7")
        yield Row("CPU a sample, reader and engine", 1e6 * ours.cpu_s / (ROUNDS * samples), "µs")
        yield Row("CPU a sample of a bare loop, over ours", bare.cpu_s / ours.cpu_s, "ratio")


class _Turns:
    """What a side took after its first turn, in which everything was new to it: seconds each, CPU seconds in all."""

    def __init__(self, side: tuple[Line, Sequence[psutil.Process]]) -> None:
        self._line, self._processes = side
        self._seconds: list[float] = []
        self._before_s = 0.0

    def take(self, messages: int) -> None:
        began_s = time.perf_counter()
        self._line.send(messages)
        self._line.recv()
        self._seconds.append(time.perf_counter() - began_s)
        if len(self._seconds) == 1:
            self._before_s = self._cpu_s()

    @property
    def seconds(self) -> Sequence[float]:
        return self._seconds[1:]

    @property
    def cpu_s(self) -> float:
        """What merges took between its turns among it."""
        return self._cpu_s() - self._before_s

    def _cpu_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)


@contextmanager
def _side(place: Brokers, folder: Path, engine: str, bare: bool) -> Iterator[tuple[Line, Sequence[psutil.Process]]]:
    """A side that waits for its turns, and its processes."""
    group, before = f"{'bare' if bare else 'sink'}-{ENGINES.index(engine)}", set(psutil.Process().children())
    with ExitStack() as opened:
        served = engine == ENGINES[1]
        dsn = opened.enter_context(serving(folder / group)) if served else f"chdb://{folder / group}"
        line = opened.enter_context(child(_take, place, Side(group, dsn, bare)))
        line.recv()
        yield line, [*set(psutil.Process().children()) - before]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The DSN of an engine, its tables made, that a process of its own serves; the password is in the environment."""
    os.environ[PASSWORD_VARIABLE] = keep_token(folder.with_suffix(".password"))
    with child(_serve, f"chdb://{folder}", os.environ[PASSWORD_VARIABLE]) as line:
        dsn: str = line.recv()
        open_store(dsn, FOREVER).close()
        yield dsn


def _serve(dsn: str, password: str, line: Line) -> None:
    with closing(StoreServer(dsn, [User(WRITER, password, writes=True)], 0, "port")) as server:
        line.send(f"clickhouse://{WRITER}@{server.url.removeprefix('http://')}/default")
        line.recv()


def _take(place: Brokers, side: Side, line: Line) -> None:
    with ExitStack() as opened:
        reader: Reader = (Bare if side.bare else Ours)(place, side, opened)
        line.send("ready")
        wanted = reader.messages
        while True:
            wanted += line.recv()
            while reader.messages < wanted:
                reader.step()
            reader.flush()
            line.send("done")


class Ours:
    """The sink as recwatch runs it. Definitions are counted apart, for they come whole to whoever begins."""

    def __init__(self, place: Brokers, side: Side, opened: ExitStack) -> None:
        bus = opened.enter_context(closing(kafka_bus(place, stall_s=IDLE_S)))
        store = opened.enter_context(closing(open_store(side.dsn, FOREVER)))
        self._sink = Sink(store)
        self._sink.name = side.group
        self._runner = StageRunner(self._sink, bus, SystemClock())
        while not self._runner.counts.records:
            self._runner.step(JOIN_S)
        while self._quiet():
            pass
        self.flush()

    def _quiet(self) -> bool:
        before = self.messages
        self._runner.step(JOIN_S)
        return self.messages > before

    @property
    def messages(self) -> int:
        return self._runner.counts.records

    def step(self) -> None:
        self._runner.step(JOIN_S)

    def flush(self) -> None:
        self._sink.flush()


class Bare:
    """The least that a loop can do: poll, read the Arrow stream, insert as many rows at once as the sink does, commit."""

    def __init__(self, place: Brokers, side: Side, opened: ExitStack) -> None:
        opened.enter_context(closing(open_store(side.dsn, FOREVER)))
        self._engine = opened.enter_context(closing(Connection(parse_dsn(side.dsn))))
        self._consumer = KafkaConsumer(
            f"{place.prefix}.samples",
            bootstrap_servers=list(place.hosts),
            group_id=f"{place.prefix}.{side.group}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=round(1000 * IDLE_S),
            metrics_enabled=False,
        )
        opened.callback(self._consumer.close, autocommit=False)
        self.messages, self._batches = 0, list[pa.RecordBatch]()
        while not self._consumer.assignment():
            self._consumer.poll(timeout_ms=100)

    def step(self) -> None:
        for records in self._consumer.poll(timeout_ms=round(1000 * JOIN_S)).values():
            self.messages += len(records)
            self._batches += [_batch(record.value) for record in records]
        if sum(map(len, self._batches)) >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._batches:
            self._engine.insert(
                "samples", pa.Table.from_batches(self._batches).rename_columns(["time", "series_id", "value"])
            )
            self._consumer.commit()
            self._batches.clear()


def _batch(message: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(message, options=pa.ipc.IpcReadOptions(use_threads=False)) as stream:
        batch = stream.read_next_batch()
    return batch.set_column(0, "time_ms", batch.column(0).view(TIME)).replace_schema_metadata()
