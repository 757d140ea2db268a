"""Every sample is stored once: real broker, real store, owners that die, stall, come and go between any two steps."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from recwatch.core.bus import Bus, Position, Record
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples
from recwatch.core.store import Store
from recwatch.core.store.connection import Embedded
from recwatch.core.store.sink import Sink
from tests.core.examples import FOREVER, START_MS
from tests.fates import Died, Fate, overslept

LONG_S = 60.0
STEPS = ("announcing", "storing", "ending")
SERVICES = [f"service-{number}" for number in range(6)]


class FatedStore:
    """A real store, as one owner reaches it."""

    def __init__(self, store: Store, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    def write_samples(self, batches: Sequence[Samples], token: str) -> None:
        self._fate.meet("storing", lambda: self._store.write_samples(batches, token))

    def latest_ms(self, series_ids: Sequence[int], since_ms: int) -> dict[int, int]:
        return self._store.latest_ms(series_ids, since_ms)

    def rows_there(self, rows: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        return self._store.rows_there(rows)

    def write_events(self, events: Sequence[object]) -> None:
        assert not events


class Owner:
    """A sink, and the member of its group that reads for it and commits what it says."""

    def __init__(self, bus: Bus, store: Store, fate: Fate) -> None:
        self._fate = fate
        self.owned: set[Position] = set()
        self.sink = Sink(FatedStore(store, fate), flush_s=0)  # type: ignore[arg-type]
        self.subscription = bus.subscribe("sink", ["samples"], self._take_on, self._give_up)

    def step(self) -> Sequence[Record]:
        polled = self.subscription.poll(0.05)
        self.sink.process(polled, START_MS)
        return polled

    def commit(self, offsets: Mapping[Position, int], metadata: Mapping[Position, str]) -> None:
        step = "announcing" if any(metadata.values()) else "ending"
        self._fate.meet(step, lambda: self.subscription.commit(offsets, metadata))

    def committed(self, position: Position) -> tuple[int, str] | None:
        return self.subscription.committed(position)

    def _take_on(self, positions: Sequence[Position]) -> None:
        self.owned.update(positions)
        self.sink.take_on(positions, self)  # type: ignore[arg-type]

    def _give_up(self, positions: Sequence[Position]) -> None:
        self.sink.give_up(positions)
        self.owned.difference_update(positions)


@pytest.fixture
def bus(brokers: Brokers) -> Iterator[Bus]:
    opened = kafka_bus(brokers, partitions=2, session_s=6.0, stall_s=300.0)
    opened.subscribe("sink", ["samples"]).close()
    yield opened
    opened.close()


def publish(bus: Bus, first: int, last: int) -> None:
    """A sample of each number of this range, of all services in turns; the number is series, time and value."""
    for number in range(first, last):
        service = SERVICES[number % len(SERVICES)]
        bus.publish("samples", service, Samples.of(service, "", START_MS + number, {number: float(number)}))


def own(owner: Owner) -> None:
    """Until it ends by itself."""
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        owner.step()


def own_until_nothing_is_left(owner: Owner, bus: Bus) -> None:
    deadline = time.monotonic() + LONG_S
    while bus.lag("sink") and time.monotonic() < deadline:
        owner.step()


def assert_stored_once(store: Store, count: int) -> None:
    found = {number: rows.tolist() for number, (_, rows) in store.read(range(count), 0, START_MS * 2).items()}
    assert found == {number: [float(number)] for number in range(count)}
    minutes = store.read(range(count), 0, START_MS * 2, step_s=60)
    assert np.concatenate([rows for _, rows in minutes.values()]).tolist() == list(range(count))


@pytest.mark.parametrize("when", [f"{side} {step}" for step in STEPS for side in ("before", "after")])
def test_an_owner_dies_between_two_steps(bus: Bus, store: Store, when: str) -> None:
    publish(bus, 0, 20)
    first = Owner(bus, store, Fate(when))
    with pytest.raises(Died):
        own(first)
    first.subscription.close()
    publish(bus, 20, 40)
    own_until_nothing_is_left(Owner(bus, store, Fate()), bus)
    assert_stored_once(store, 40)


def test_owners_die_one_after_the_other_at_every_step(bus: Bus, store: Store) -> None:
    number = 0
    for step in (*STEPS, *reversed(STEPS)):
        for side in ("before", "after"):
            publish(bus, number, number + 8)
            number += 8
            owner = Owner(bus, store, Fate(f"{side} {step}"))
            with pytest.raises(Died):
                own_until_nothing_is_left(owner, bus)
            owner.subscription.close()
    own_until_nothing_is_left(Owner(bus, store, Fate()), bus)
    assert_stored_once(store, number)


@pytest.mark.parametrize("when", [f"before {step}" for step in STEPS])
def test_an_owner_sleeps_between_two_steps_and_wakes_when_another_has_done_its_work(
    bus: Bus, store: Store, when: str
) -> None:
    publish(bus, 0, 20)
    heir = Owner(bus, store, Fate())

    def sleep() -> None:
        """For as long as the heir needs to get everything, and to store it together with what came since."""
        overslept(sleeper.subscription)
        publish(bus, 20, 40)
        deadline = time.monotonic() + LONG_S
        while len(heir.owned) < 2 and time.monotonic() < deadline:
            heir.step()
        own_until_nothing_is_left(heir, bus)
        assert store.samples_stored() == 40

    sleeper = Owner(bus, store, Fate(when, end=sleep))
    with pytest.raises(Unavailable, match="another member"):
        own(sleeper)
    assert_stored_once(store, 40)
    heir.subscription.close()
    publish(bus, 40, 60)
    own_until_nothing_is_left(sleeper, bus)
    assert_stored_once(store, 60)


def test_owners_come_and_go_while_samples_flow(bus: Bus, store: Store) -> None:
    count, rounds = 240, 6
    owners = [Owner(bus, store, Fate()) for _ in range(2)]
    deadline = time.monotonic() + LONG_S
    leaving: set[Owner] = set()
    done = False

    def drive(owner: Owner) -> None:
        while owner not in leaving and not done and time.monotonic() < deadline:
            try:
                owner.step()
            except Unavailable:
                owner.subscription.attend()
        owner.subscription.close()

    with ThreadPoolExecutor(rounds + len(owners)) as threads:
        driven = [threads.submit(drive, owner) for owner in owners]
        for turn in range(rounds):
            publish(bus, count * turn // rounds, count * (turn + 1) // rounds)
            leaving.add(owners[turn])
            owners.append(Owner(bus, store, Fate()))
            driven.append(threads.submit(drive, owners[-1]))
        while bus.lag("sink") and time.monotonic() < deadline:
            publish(bus, 0, 0)
        done = True
        for one in driven:
            one.result()
    assert_stored_once(store, count)


# Owns everything, and kills itself at the step that it is told.
KILLED = """
import os, signal, sys
from pathlib import Path
from recwatch.core.bus.brokers import parse_brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.store import Store
from recwatch.core.store.connection import Embedded
from tests.fates import Fate
from tests.core.examples import FOREVER
from tests.core.test_bus_kafka_sink import Owner
dsn, folder, when = sys.argv[1:]
store = Store(Embedded(Path(folder)), FOREVER)
dies = Fate(when, end=lambda: os.kill(os.getpid(), signal.SIGKILL))
owner = Owner(kafka_bus(parse_brokers(dsn), session_s=3.0), store, dies)
while True:
    owner.step()
"""


@pytest.mark.parametrize("when", ["after announcing", "after storing"])
def test_a_process_is_killed_between_two_steps(bus: Bus, brokers: Brokers, tmp_path: Path, when: str) -> None:
    publish(bus, 0, 20)
    program = [sys.executable, "-c", KILLED, str(brokers), str(tmp_path / "store"), when]
    assert subprocess.run(program, check=False, timeout=LONG_S).returncode == -signal.SIGKILL
    publish(bus, 20, 40)
    store = Store(Embedded(tmp_path / "store"), FOREVER)
    own_until_nothing_is_left(Owner(bus, store, Fate()), bus)
    assert_stored_once(store, 40)
    store.close()
