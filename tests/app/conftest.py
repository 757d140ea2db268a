"""What several tests of the application use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recwatch.core.bus import Bus
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.clock import FakeClock
from recwatch.core.store import Store, open_store
from tests.app.shop import shop, watched
from tests.app.world import World
from tests.collectors.server import PageServer
from tests.fates import LastingBus


@pytest.fixture
def server() -> Iterator[PageServer]:
    """The shop's page."""
    with shop() as server:
        yield server


@pytest.fixture
def content(tmp_path: Path, server: PageServer) -> dict[str, Any]:
    """A configuration that watches the shop."""
    return watched(tmp_path, server, scrape_interval="200ms")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def world(clock: FakeClock) -> Iterator[World]:
    """A whole API, answering."""
    with World(clock) as world:
        yield world


@pytest.fixture
def kafka(brokers: Brokers) -> Iterator[Bus]:
    """A bus on the real broker, whose members may be slower than any machine makes them."""
    with closing(kafka_bus(brokers, partitions=2, session_s=6.0, stall_s=300.0)) as bus:
        yield bus


@pytest.fixture(params=["memory", "kafka"])
def bus(request: pytest.FixtureRequest) -> Bus:
    """A bus that outlives its readers, each of which is a process to it."""
    return LastingBus(partitions=2) if request.param == "memory" else request.getfixturevalue("kafka")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that the tests of a file share."""
    with closing(open_store(f"chdb://{tmp_path_factory.mktemp('shared')}/store")) as store:
        yield store
