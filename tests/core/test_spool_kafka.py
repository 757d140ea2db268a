"""What a publisher was done with is stored once: a real broker that is paused, processes that are killed, a real store."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from cluster.kafka import LocalKafka
from recwatch.core.bus import Bus, next_offsets
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.bus.spool import Spool
from recwatch.core.signals import Samples
from recwatch.core.store import Store
from recwatch.core.store.sink import Sink
from tests.conftest import paused
from tests.core.examples import START_MS
from tests.waiting import ENOUGH_S, until

SERVICES = 5

# Publishes numbers from the first on, of a few services in turns, each from a thread of its own, as collectors do; says each
# once it is done with it. "drained" on its input makes it publish no more and end when nothing waits.
PUBLISHER = """
import itertools, sys, threading
from pathlib import Path
from recwatch.core.bus.brokers import parse_brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.bus.spool import Spool
from tests.core.test_spool_kafka import SERVICES, numbered
dsn, folder, first, pause_s = sys.argv[1:]
spool = Spool(Path(folder), kafka_bus(parse_brokers(dsn), partitions=2, max_block_s=0.3), 2**26)
told, ending, pause = threading.Lock(), threading.Event(), threading.Event()
def publish(service):
    for number in itertools.count(int(first) + service, SERVICES):
        if ending.wait(float(pause_s)):
            return
        spool.publish("samples", f"service-{service}", numbered(number))
        with told:
            print(number, flush=True)
def replay():
    while True:
        pause.wait(min(spool.replay(), 0.05))
threads = [threading.Thread(target=publish, args=(service,)) for service in range(SERVICES)]
threading.Thread(target=replay, daemon=True).start()
for thread in threads:
    thread.start()
sys.stdin.readline()
ending.set()
for thread in threads:
    thread.join()
while list(Path(folder).glob("*.segment")):
    pause.wait(0.05)
"""


def numbered(number: int) -> Samples:
    """One sample; the number is its value, its time, and tells its service and its series."""
    return Samples.of(f"service-{number % SERVICES}", "", START_MS + number, {number % SERVICES: float(number)})


class Publisher:
    """The process; `done` are the numbers that it said it is done with."""

    def __init__(self, brokers: Brokers, folder: Path, first: int, pause_s: float) -> None:
        command = [sys.executable, "-c", PUBLISHER, str(brokers), str(folder), str(first), str(pause_s)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.done: list[int] = []
        self._reading = Thread(target=self._read)
        self._reading.start()

    def until_done(self, count: int) -> None:
        until(lambda: len(self.done) >= count or self.process.poll() is not None, f"{count} are done")
        assert self.process.poll() is None

    def kill(self) -> list[int]:
        self.process.kill()
        return self._ended()

    def drain(self) -> list[int]:
        assert self.process.stdin is not None
        self.process.stdin.write("drained\n")
        self.process.stdin.flush()
        return self._ended()

    def _ended(self) -> list[int]:
        self.process.wait(ENOUGH_S)
        self._reading.join(ENOUGH_S)
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.done

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            for line in said:
                if line.endswith("\n"):
                    self.done.append(int(line))


@pytest.fixture
def bus(brokers: Brokers) -> Iterator[Bus]:
    opened = kafka_bus(brokers, partitions=2, max_block_s=0.5)
    opened.subscribe("sink", ["samples"]).close()
    yield opened
    opened.close()


def sink_everything(bus: Bus, store: Store) -> Sink:
    """Store all that is on the bus, in small ranges."""
    sink = Sink(store, flush_rows=200)
    reader = bus.subscribe("sink", ["samples"], lambda positions: sink.take_on(positions, reader))
    deadline = time.monotonic() + ENOUGH_S
    while bus.lag("sink") and time.monotonic() < deadline:
        sink.process(reader.poll(0.2), 0)
        sink.flush()
    reader.close()
    return sink


def stored(store: Store) -> list[int]:
    return sorted(int(value) for _, values in store.read(range(SERVICES), 0, 2 * START_MS).values() for value in values)


def test_while_the_broker_is_away_nothing_is_lost_doubled_or_out_of_order(
    bus: Bus, broker: LocalKafka, tmp_path: Path
) -> None:
    reader = bus.subscribe("reader", ["samples"])
    spool = Spool(tmp_path / "spool", bus, 2**26)
    for number in range(20):
        spool.publish("samples", f"service-{number % SERVICES}", numbered(number))
    with paused(broker):
        for number in range(20, 60):
            spool.publish("samples", f"service-{number % SERVICES}", numbered(number))
        assert spool.replay() > 0
        assert "cannot be reached" in spool.bus_trouble
    until(lambda: spool.replay() > 0 and not spool.bus_trouble, "all that waited is on the bus")
    for number in range(60, 80):
        spool.publish("samples", f"service-{number % SERVICES}", numbered(number))
    found: list[int] = []
    deadline = time.monotonic() + ENOUGH_S
    while len(found) < 80 and time.monotonic() < deadline:
        records = reader.poll(1.0)
        found += [int(record.message.value[0]) for record in records]
        reader.commit(next_offsets(records))
    assert reader.poll(1.0) == []
    for service in range(SERVICES):
        assert [number for number in found if number % SERVICES == service] == list(range(service, 80, SERVICES))
    spool.close()


def test_publishers_are_killed_while_they_write_and_while_they_replay(
    bus: Bus, brokers: Brokers, broker: LocalKafka, store: Store, tmp_path: Path
) -> None:
    """Each starts where the one before was killed, with what that one left."""
    random = Random(7)
    done: list[int] = []
    folder = tmp_path / "spool"
    for _ in range(4):
        publisher = Publisher(brokers, folder, beyond(done), pause_s=0.002)
        publisher.until_done(100)
        with paused(broker):
            publisher.until_done(len(publisher.done) + 200 + random.randrange(200))
            if random.random() < 0.5:
                done += publisher.kill()
                continue
        until(lambda: waits(folder) < 2**14 or random.random() < 0.04, "it has replayed for a while")
        done += publisher.kill()
    publisher = Publisher(brokers, folder, beyond(done), pause_s=0.002)
    publisher.until_done(50)
    done += publisher.drain()
    sink = sink_everything(bus, store)
    found = stored(store)
    lost, doubled = set(done) - set(found), len(found) - len(set(found))
    assert (len(lost), doubled) == (0, 0), f"of {len(done)}, {sink.samples_repeated.total()} published twice"
    assert len(set(found) - set(done)) <= 5 * SERVICES  # done, but killed before they could say so


def beyond(done: list[int]) -> int:
    """A number of the first service, later than any of a publisher that was killed, said or not."""
    return (max(done, default=0) // SERVICES + 20) * SERVICES


def waits(folder: Path) -> int:
    sizes = []
    for path in folder.glob("*.segment"):
        with path.open("rb") as file:
            sizes.append(path.stat().st_size - int.from_bytes(file.read(8), "little"))
    return sum(sizes)
