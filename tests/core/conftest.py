"""What several tests of the core use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from recwatch.core.bus import Bus
from recwatch.core.bus.registry import BUSES
from recwatch.core.store import Retention, Store, open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE, Embedded
from tests.core.examples import FOREVER
from tests.core.served import Place, served_place
from tests.core.stores import KINDS, PASSWORD, Open, empty_store


@pytest.fixture(params=sorted(BUSES))
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """A bus of every kind there is."""
    place = {"place": request.getfixturevalue("brokers"), "session_s": 3.0} if request.param == "kafka" else {}
    with closing(BUSES[request.param](**place)) as bus:
        yield bus


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store that forgets nothing."""
    with closing(Store(Embedded(tmp_path / "store"), FOREVER)) as store:
        yield store


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
