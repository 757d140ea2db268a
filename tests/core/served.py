"""A served store with one table, beside what readers of it are after."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx

from recwatch.app.store_server import StoreServer
from recwatch.core.store.served import User

MARKER = "what no reader may see"
WRITER, READER = ("ana", "open sesame"), ("ben", "hush: it is a secret, ü")
STATE = """
    SELECT (SELECT groupArray((a, b)) FROM (SELECT a, b FROM t ORDER BY a)), groupArray((database, name, create_table_query))
    FROM system.tables WHERE database != 'system'
"""


class Tripwire:
    """A port of this machine; `touched` is how many connected to it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.touched = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.touched += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


class Place:
    """A served store with one table, beside what readers of it are after."""

    def __init__(self, url: str, folder: Path, tripwire: Tripwire) -> None:
        self.url, self.folder, self.tripwire = url, folder, tripwire
        self.first_state: tuple[str, list[str]] = ("", [])
        self.secret = folder / "secret.csv"
        self.secret.write_text(f'"{MARKER}"\n1\n')

    def ask(self, sql: str | bytes, user: tuple[str, str] = READER, **parameters: str) -> httpx.Response:
        return httpx.post(self.url, content=sql, params=parameters, auth=as_utf8(user), timeout=60)

    def state(self) -> tuple[str, list[str]]:
        """All that a write could have changed."""
        return self.ask(STATE, WRITER).text, sorted(path.name for path in self.folder.iterdir())

    def client(self, user: tuple[str, str] = WRITER, **arguments: Any) -> Any:
        host, port = self.url.removeprefix("http://").split(":")
        return clickhouse_connect.get_client(
            host=host, port=int(port), username=user[0], password=user[1], autogenerate_session_id=False, **arguments
        )


def as_utf8(user: tuple[str, str]) -> tuple[bytes, bytes]:
    """As UTF-8, which httpx leaves as it is."""
    return user[0].encode(), user[1].encode()


@contextmanager
def served_place(folder: Path) -> Iterator[Place]:
    """A place in an empty folder, for as long as the context lasts."""
    users = [User(*WRITER, writes=True), User(*READER), User("nobody", "")]
    with closing(Tripwire()) as tripwire, closing(StoreServer(f"chdb://{folder}/store", users, 0, "")) as server:
        place = Place(server.url, folder, tripwire)
        assert place.ask("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a", WRITER).status_code == 200
        assert place.ask("INSERT INTO t VALUES (1, 'one'), (2, 'it''s; two')", WRITER).status_code == 200
        place.first_state = place.state()
        yield place
