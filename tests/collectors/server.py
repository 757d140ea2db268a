"""A real HTTP server on the loopback interface whose pages behave as badly as a test wants."""

from __future__ import annotations

import gzip
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


class PageServer:
    """Answers each path as `answers` says now, over TLS where given.

    `released` ends what stalls; `hung_up` tells that a client went away; `requests` are the headers of each, and `callers`
    the certificates that callers showed.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.released = threading.Event()
        self.hung_up = threading.Event()
        self.requests: list[Mapping[str, str]] = []
        self.callers: list[object] = []
        self._scheme = "https" if tls else "http"
        self._http = _Http(("127.0.0.1", 0), _handler_for(self))
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    def url(self, path: str) -> str:
        return f"{self._scheme}://127.0.0.1:{self._http.server_port}{path}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)


def _handler_for(server: PageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append(dict(self.headers))
            if isinstance(self.connection, ssl.SSLSocket):
                server.callers.append(self.connection.getpeercert())
            try:
                server.answers[self.path](self)
            except ConnectionError:
                self.close_connection = True
                server.hung_up.set()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    return Handler


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[PageServer]:
    server = PageServer(tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def page(text: str, content_type: str = "text/plain; version=0.0.4", status: int = 200, zipped: bool = False) -> Answer:
    """The whole text, as a healthy server sends it."""
    body = gzip.compress(text.encode()) if zipped else text.encode()
    headers = {"Content-Type": content_type} | ({"Content-Encoding": "gzip"} if zipped else {})
    return raw(body, headers, status)


def raw(body: bytes, headers: Mapping[str, str], status: int = 200) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, dict(headers) | {"Content-Length": str(len(body))}, status)
        handler.wfile.write(body)

    return answer


def head(handler: BaseHTTPRequestHandler, headers: Mapping[str, str], status: int = 200) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def redirect(to: str) -> Answer:
    return raw(b"", {"Location": to}, 307)


def cut_off(text: str, announced: bool) -> Answer:
    """Hangs up in the middle of the page, whose length it told before or not."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = text.encode()
        head(handler, {"Content-Length": str(2 * len(body))} if announced else {"Connection": "close"})
        handler.wfile.write(body)
        handler.close_connection = True

    return answer


def chunked(text: str, ended: bool) -> Answer:
    """Sends the page as one chunk, and then the chunk that ends it or nothing more."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode() + (b"0\r\n\r\n" if ended else b""))
        handler.close_connection = True

    return answer


def endless(chunks: int, sent: list[int]) -> Answer:
    """A page of `chunks` times 50 kB that is made while it is sent; `sent` counts what got out."""
    chunk = b"".join(b'x{i="%04d"} 1234\n' % row for row in range(2500))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, {"Content-Length": str(chunks * len(chunk))})
        for _ in range(chunks):
            handler.wfile.write(chunk)
            sent.append(len(chunk))

    return answer


def stalled(server: PageServer) -> Answer:
    """Says nothing at all."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        server.released.wait()
        handler.close_connection = True

    return answer


def dribbling(server: PageServer, within_headers: bool) -> Answer:
    """Sends a byte now and then, for ever: no single read of it ever times out."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X-Slow: " if within_headers else b"\r\n# "))
        while not server.released.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()
        handler.close_connection = True

    return answer
