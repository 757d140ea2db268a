"""What several tests of the application use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recwatch.core.clock import FakeClock
from tests.app.shop import shop, watched
from tests.app.world import World
from tests.collectors.server import PageServer


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
