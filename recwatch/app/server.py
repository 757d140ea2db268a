"""The API's server: a socket bound at once, so that a taken port is one sentence, and a thread that serves it."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from recwatch.core.errors import Unavailable


class ApiServer:
    """Listens from construction on; `serve` answers until `stop`. Port 0 takes a free one."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen()  # whoever asks before `serve` waits instead of being refused
        except OSError as error:
            self._socket.close()
            reason = error.strerror or str(error)
            raise Unavailable(
                f"The API cannot listen on {host}:{port} ({reason}). Free the port or set api.port."
            ) from error
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None

    def serve(self, api: FastAPI) -> None:
        """Answer requests in this thread."""
        self._server = uvicorn.Server(uvicorn.Config(api, log_level="warning", access_log=False, lifespan="off"))
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Stop answering; requests under way are finished."""
        if self._server is None:
            self._socket.close()
        else:
            self._server.should_exit = True
