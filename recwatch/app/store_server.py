"""The embedded store behind ClickHouse's protocol, served by a thread of this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from recwatch.app.access import keep_token
from recwatch.app.config import StoreReaderConfig
from recwatch.app.server import Server
from recwatch.app.threads import Worker
from recwatch.core.errors import BadInput
from recwatch.core.store.connection import Embedded, parse_dsn
from recwatch.core.store.served import Engine, Served, User

LAST_ANSWERS_S = 3.0
WRITER, READER = "recwatch", "reader"


class StoreServer:
    """Answers at `url` until `close`. The constructor raises BadInput or Unavailable, and then leaves nothing open."""

    def __init__(self, dsn: str, users: Sequence[User], port: int, setting: str) -> None:
        place = parse_dsn(dsn)
        if not isinstance(place, Embedded):
            raise BadInput(
                f"'{dsn}' is a server, which answers for itself; name an embedded store, as in chdb:///path/to/folder"
            )
        self._server = Server("127.0.0.1", port, "The store", setting)
        try:
            self._engine = Engine(place)
        except BaseException:
            self._server.stop()
            raise
        self.url = self._server.url
        self._worker = Worker("store", partial(self._server.serve, Served(self._engine, users).app))
        self._worker.start()

    def check(self) -> None:
        """Raise what the thread died of, if it did."""
        self._worker.check()

    def close(self) -> None:
        """Stop answering, and let go of the engine."""
        self._server.stop()
        self._worker.join(LAST_ANSWERS_S)
        self._engine.close()


def reading_side(dsn: str, config: StoreReaderConfig) -> StoreServer:
    """The store for one user, who may read."""
    reader = User(READER, keep_token(config.password_file, shared=True))
    return StoreServer(dsn, [reader], config.port, "store_reader.port")
