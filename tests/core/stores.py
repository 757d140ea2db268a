"""Every kind of store, empty, for what all of them promise.

The engine in this process is always there, and so is the engine served over HTTP. A server is where RECWATCH_TEST_CLICKHOUSE
holds its DSN, whose user may create databases: each test gets one of its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from recwatch.app.store_server import StoreServer
from recwatch.core.store import Store
from recwatch.core.store.connection import Connection, parse_dsn
from recwatch.core.store.served import User
from tests.conftest import require

KINDS = ("chdb", "served", "clickhouse")
PASSWORD = "hush"
"""Of the user whom the DSN of a served store names."""
Open = Callable[..., Store]


@contextmanager
def empty_store(kind: str, folder: Path) -> Iterator[str]:
    """The DSN of an empty store of this kind, for as long as the context lasts."""
    match kind:
        case "chdb":
            yield f"chdb://{folder}/store"
        case "served":
            users = [User("ana", PASSWORD, writes=True)]
            with closing(StoreServer(f"chdb://{folder}/store", users, 0, "")) as server:
                yield f"clickhouse://ana@{server.url.removeprefix('http://')}/default"
        case "clickhouse":
            named = os.environ.get("RECWATCH_TEST_CLICKHOUSE", "")
            require("clickhouse", bool(named), "RECWATCH_TEST_CLICKHOUSE holds no DSN")
            database = f"recwatch_test_{uuid.uuid4().hex}"
            with closing(Connection(parse_dsn(named))) as admin:
                admin.command("CREATE DATABASE {database:Identifier}", database=database)
                yield f"{named.rsplit('/', 1)[0]}/{database}"
                admin.command("DROP DATABASE {database:Identifier}", database=database)
