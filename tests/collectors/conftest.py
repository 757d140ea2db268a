"""What several tests of the collectors use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collectors.server import PageServer, serving


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        yield running
