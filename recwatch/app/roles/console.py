"""The role that serves the console: a child process that reads and writes through the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from dashboards.console.launch import command
from recwatch.app.children import Child
from recwatch.app.config import ConsoleConfig
from recwatch.app.health import Health, health_app
from recwatch.app.ports import listening
from recwatch.app.server import Server
from recwatch.app.threads import Worker
from recwatch.client import Client
from recwatch.core.errors import RecwatchError


class ConsoleChild(Child):
    """The console as a child process; `url` is where a browser finds it."""

    def __init__(self, config: ConsoleConfig, api_url: str, token_file: Path) -> None:
        with listening("127.0.0.1", config.port, "The console", "console.port") as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        super().__init__("the console", command(api_url, token_file, port))


@contextmanager
def watched_console(console: ConsoleChild, api_url: str, server: Server) -> Iterator[ConsoleChild]:
    """The console while `server` tells how it is."""
    with console, closing(Client(api_url)) as client:

        def lacks() -> list[str]:
            try:
                client.services()
            except RecwatchError as error:
                return [str(error)]
            return []

        health = Health(CollectorRegistry(), console.failure, lacks)
        worker = Worker("server", partial(server.serve, health_app(health, None)))
        worker.start()
        yield console
        server.stop()
        worker.join()
