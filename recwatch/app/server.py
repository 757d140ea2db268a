"""The API on a socket, in a thread of its own."""

from __future__ import annotations

import socket
from threading import Thread
from types import TracebackType

import uvicorn
from fastapi import FastAPI

from recwatch.core.errors import Unavailable


class ApiServer:
    """Listens from construction on; port 0 takes a free one. Raises Unavailable where the address cannot be had."""

    def __init__(self, api: FastAPI, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise Unavailable(f"The API cannot listen on {host}:{port}: {error.strerror}. Choose another port.") from error
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(api, log_level="warning", access_log=False, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="api", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being answered, and let go of the port."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> ApiServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
