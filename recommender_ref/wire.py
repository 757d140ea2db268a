"""A small HTTP/1.1 client: at hundreds of requests a second a full one would take the processor that the server needs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class BadAnswer(Exception):
    """No answer, or none that can be read."""


class Connections:
    """Kept-alive connections to one server; as many as there are requests on the way, at most `limit`."""

    def __init__(self, url: str, limit: int = 900) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"The server's address is {url!r}; give one such as http://127.0.0.1:8080")
        self._host, self._port = parts.hostname, parts.port or 80
        self._free: list[Stream] = []
        self._room = asyncio.Semaphore(limit)

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer; raises BadAnswer."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with self._room:
            while self._free:
                # The server may close a kept connection at any moment: then nothing comes back, and a fresh one is due.
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    return await self._exchange(self._free.pop(), head.encode() + body)
            try:
                return await self._exchange(await asyncio.open_connection(self._host, self._port), head.encode() + body)
            except (OSError, EOFError, ValueError) as error:
                raise BadAnswer(f"{method} http://{self._host}:{self._port}{path}: {error}") from error

    async def _exchange(self, stream: Stream, request: bytes) -> tuple[int, bytes]:
        reader, writer = stream
        try:
            writer.write(request)
            answer = await _answer(reader)
        except BaseException:
            writer.close()  # half an answer, or one that comes too late, would be taken for the next one's
            raise
        self._free.append(stream)
        return answer

    def close(self) -> None:
        """Close the connections that are free."""
        for _, writer in self._free:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    start, _, fields = head.partition(b"\r\n")
    if not start.startswith(b"HTTP/1."):
        raise BadAnswer(f"the answer starts with {start[:40]!r}, which is no HTTP/1.1")
    length = next((line[15:] for line in fields.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
    return int(start.split()[1]), await reader.readexactly(int(length))
