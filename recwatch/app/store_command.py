"""`recwatch store`: what concerns the store alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="The embedded store.")

WRITER_FILE, READER_FILE = Path(".recwatch/store-password"), Path(".recwatch/reader-password")


@app.callback()
def store() -> None:
    """The embedded store."""


@app.command()
def serve(
    dsn: Annotated[str, typer.Argument(help="The embedded store.", metavar="DSN")] = "chdb://.recwatch/store",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen, on loopback.")] = 8123,
    password_file: Annotated[Path, typer.Option(help="The password of recwatch, who may do everything.")] = WRITER_FILE,
    reader_password_file: Annotated[Path, typer.Option(help="The password of reader, who may only read.")] = READER_FILE,
) -> None:
    """Serve the embedded store behind ClickHouse's HTTP protocol, so that several processes of this host can use it.

    A password is written to its file where there is none yet. Ctrl-C or SIGTERM stops it.
    """
    from recwatch.app.access import keep_token  # noqa: PLC0415 - heavy
    from recwatch.app.ending import told_to_end  # noqa: PLC0415 - heavy
    from recwatch.app.store_server import READER, WRITER, StoreServer  # noqa: PLC0415 - heavy
    from recwatch.core.store.connection import PASSWORD_VARIABLE  # noqa: PLC0415 - heavy
    from recwatch.core.store.served import User  # noqa: PLC0415 - heavy

    users = [
        User(WRITER, keep_token(password_file), writes=True),
        User(READER, keep_token(reader_password_file, shared=True)),
    ]
    out, pause = Console(soft_wrap=True, emoji=False, markup=False, highlight=False), Event()
    with told_to_end() as told, closing(StoreServer(dsn, users, port, "--port")) as server:
        name = server.url.removeprefix("http://")
        out.print(f"The store answers at {server.url}. User {READER}, password in {reader_password_file}.")
        out.print(f"Writers name it clickhouse://{WRITER}@{name}/default, and set")
        out.print(f"{PASSWORD_VARIABLE}_FILE={password_file.absolute()}. Press Ctrl-C to stop.")
        while not told:
            server.check()
            pause.wait(0.2)
