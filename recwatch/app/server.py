"""A server of ours: a socket bound at once, so that a taken port is one sentence, and a thread that serves it."""

from __future__ import annotations

from threading import Lock

import uvicorn
from starlette.types import ASGIApp

from recwatch.app.ports import listening

LAST_ANSWERS_S = 1


class Server:
    """Listens from construction on; `serve` answers until `stop`, whichever comes first. Port 0 takes a free one.

    The constructor raises Unavailable, naming what listens and the setting of its port, where the port is taken.
    """

    def __init__(self, host: str, port: int, name: str = "The API", setting: str = "api.port") -> None:
        self._socket = listening(host, port, name, setting)
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self._starting_or_stopping = Lock()
        self._stopped = False
        self._server: uvicorn.Server | None = None

    def serve(self, app: ASGIApp) -> None:
        """Answer requests in this thread; return at once when already stopped."""
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=LAST_ANSWERS_S
        )
        with self._starting_or_stopping:
            if self._stopped:
                return
            self._server = uvicorn.Server(config)
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Stop answering; requests under way have a second to be finished."""
        with self._starting_or_stopping:
            self._stopped = True
            if self._server is None:
                self._socket.close()
            else:
                self._server.should_exit = True
