"""What several tests of the core use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recwatch.core.bus import STORED, Bus, Position, Subscription
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.bus.registry import BUSES, kafka_bus
from recwatch.core.store import Retention, Store, open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE, Embedded
from recwatch.core.store.sink import Sink
from tests.core.examples import FOREVER
from tests.core.messages import MakeBus
from tests.core.served import Place, served_place
from tests.core.sinks import Interrupted, MakeSink
from tests.core.stores import KINDS, PASSWORD, Open, empty_store

if TYPE_CHECKING:
    from kafka import KafkaAdminClient


@pytest.fixture(params=sorted(BUSES))
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """A bus of every kind there is."""
    place = {"place": request.getfixturevalue("brokers"), "session_s": 3.0} if request.param == "kafka" else {}
    with closing(BUSES[request.param](**place)) as bus:
        yield bus


@pytest.fixture
def make_bus(brokers: Brokers) -> Iterator[MakeBus]:
    """Opens a bus on the real broker, of one partition unless said otherwise."""
    with ExitStack() as last:

        def make(place: Brokers = brokers, **limits: float) -> Bus:
            return last.enter_context(closing(kafka_bus(place, **({"partitions": 1, "session_s": 3.0} | limits))))

        yield make


@pytest.fixture
def admin(brokers: Brokers) -> Iterator[KafkaAdminClient]:
    """Looks at the real broker, and changes it, past the bus."""
    from kafka import KafkaAdminClient  # noqa: PLC0415 (an extra)

    with closing(KafkaAdminClient(**brokers.arguments())) as client:
        yield client


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Interrupted]:
    """An empty store that forgets nothing, and whose writes a test may interrupt."""
    with closing(Interrupted(Embedded(tmp_path / "store"), FOREVER)) as store:
        yield store


@pytest.fixture
def offsets() -> Iterator[Subscription]:
    """What a sink commits to: a member that owns every partition."""
    with closing(MemoryBus(partitions=2)) as bus:
        subscription = bus.subscribe("sink", STORED)
        subscription.poll(0)
        yield subscription


@pytest.fixture
def make_sink(store: Interrupted, offsets: Subscription) -> MakeSink:
    """Makes sinks of that store, each of which owns every partition."""

    def make(**limits: float) -> Sink:
        sink = Sink(store, **limits)  # type: ignore[arg-type]
        sink.take_on([Position(topic, number) for topic in STORED for number in range(2)], offsets)
        return sink

    return make


@pytest.fixture(params=KINDS)
def dsn(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The DSN of an empty store of every kind."""
    if request.param == "served":
        monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    with empty_store(request.param, tmp_path) as dsn:
        yield dsn


@pytest.fixture
def opened(dsn: str) -> Iterator[Open]:
    """Opens the store, again and again if need be; one at a time."""
    with ExitStack() as last:

        def again(retention: Retention = FOREVER) -> Store:
            last.close()
            return last.enter_context(closing(open_store(dsn, retention)))

        yield again


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A served store; whatever a test changes in it, it changes back."""
    with served_place(tmp_path_factory.mktemp("served")) as place:
        yield place
