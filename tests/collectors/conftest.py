"""What several tests of the collectors use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collectors.scenes import Shop
from tests.collectors.server import PageServer, serving


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        yield running


@pytest.fixture
def shop(server: PageServer) -> Iterator[Shop]:
    """A service of one recommender, scraped."""
    shop = Shop(server, scrape_interval="5s")
    yield shop
    shop.watch.close()


@pytest.fixture
def pair(server: PageServer) -> Iterator[Shop]:
    """A service of two recommenders, scraped."""
    shop = Shop(server, instances=2, scrape_interval="5s")
    yield shop
    shop.watch.close()
