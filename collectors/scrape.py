"""HTTP → pages: every target of a service at once, each within its limits, none holding up another."""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from collectors.config import ServiceConfig
from collectors.exposition import Page, PageParser
from recwatch.core.clock import Clock
from recwatch.core.errors import BadInput, Unavailable

Reason = Literal[
    "unreachable", "timeout", "http_status", "encoding", "html", "cut_off", "too_large", "too_many_samples", "malformed"
]

_HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip", "User-Agent": "recwatch"}
# Some servers hang up after 5 s without a request; a connection let go of earlier is never used while they do.
_KEEPALIVE_S = 4.0
# `cut` cannot end what is not connected yet, and recwatch is to stop within 3 s.
_CONNECT_S = 1.5


class ScrapeFailed(Unavailable):
    """A target gave no page that can be used; `reason` is one word of it, to count by."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Scraped:
    """A target's page, and how long it took to get and to read."""

    page: Page
    duration_s: float


class Scraper:
    """Scrapes one target over a connection of its own. `scrape` runs in a thread; `cut` ends it from another."""

    def __init__(self, url: str, config: ServiceConfig, clock: Clock, tls: ssl.SSLContext) -> None:
        self._url = url
        self._body_limit = int(config.body_size_limit)
        self._sample_limit = config.sample_limit
        self._clock = clock
        self._parser = PageParser()
        self._socket: socket.socket | None = None
        self._client = httpx.Client(
            headers=_HEADERS,
            timeout=httpx.Timeout(config.timeout_s, connect=min(config.timeout_s, _CONNECT_S)),
            follow_redirects=True,
            max_redirects=3,
            verify=tls,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=_KEEPALIVE_S),
        )

    def scrape(self) -> Scraped:
        """The target's page. Raises ScrapeFailed, and nothing else, when the target or its page is at fault."""
        started = self._clock.monotonic_s()
        try:
            text = self._fetch()
        except httpx.TimeoutException as error:
            raise ScrapeFailed("timeout", f"{self._url} did not answer in time") from error
        except httpx.RemoteProtocolError as error:
            raise ScrapeFailed("cut_off", f"{self._url} broke off its answer: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ScrapeFailed("unreachable", f"{self._url} cannot be reached: {error}") from error
        page = self._read(text)
        return Scraped(page, self._clock.monotonic_s() - started)

    def cut(self) -> None:
        """Break the connection off, so that a scrape under way ends."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already

    def close(self) -> None:
        self.cut()
        self._client.close()

    def _fetch(self) -> str:
        request = self._client.build_request("GET", self._url, extensions={"trace": self._remember_socket})
        response = self._client.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise ScrapeFailed("http_status", f"{self._url} answers HTTP status {response.status_code}, not 200")
            body = self._body(response)
        finally:
            response.close()
        return self._text(response, body)

    def _remember_socket(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def _body(self, response: httpx.Response) -> bytes:
        """The whole body, unpacked; reading stops where the limit is passed."""
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("gzip", "identity"):
            raise ScrapeFailed("encoding", f"{self._url} answers in '{encoding}', and was asked for gzip or nothing")
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        chunks: list[bytes] = []
        room = self._body_limit
        for chunk in response.iter_raw():
            chunks.append(self._unpacked(unpack, chunk, room + 1) if unpack else chunk)
            room -= len(chunks[-1])
            if room < 0:
                raise ScrapeFailed("too_large", f"{self._url} has a page larger than {self._body_limit} bytes")
        if unpack and not unpack.eof:
            raise ScrapeFailed("cut_off", f"{self._url} broke off in the middle of its gzip data")
        return b"".join(chunks)

    def _unpacked(self, unpack: Any, chunk: bytes, at_most: int) -> bytes:
        try:
            data: bytes = unpack.decompress(chunk, at_most)
        except zlib.error as error:
            raise ScrapeFailed("encoding", f"{self._url} sends gzip data that cannot be unpacked: {error}") from error
        return data

    def _text(self, response: httpx.Response, body: bytes) -> str:
        if "html" in response.headers.get("Content-Type", "") or body.lstrip()[:1] == b"<":
            raise ScrapeFailed("html", f"{self._url} answers HTML, not metrics; check the path")
        if body and not body.endswith(b"\n"):
            raise ScrapeFailed("cut_off", f"{self._url} has a page that ends in the middle of a line")
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise ScrapeFailed("malformed", f"{self._url} has a page that is not UTF-8: {error}") from error

    def _read(self, text: str) -> Page:
        if text.count("\n") > self._sample_limit < sum(row[:1] not in ("", "#") for row in text.split("\n")):
            raise ScrapeFailed("too_many_samples", f"{self._url} has a page of more than {self._sample_limit} samples")
        try:
            return self._parser.parse(text)
        except BadInput as error:
            raise ScrapeFailed("malformed", f"{self._url}: {error}") from error


Outcome = Scraped | ScrapeFailed


class Scrapers:
    """All scrapers of a service. A thread each: the cheapest way to wait for many at once with a client that blocks."""

    def __init__(self, config: ServiceConfig, clock: Clock) -> None:
        tls = httpx.create_ssl_context()
        self._timeout_s = config.timeout_s
        self._scrapers = [Scraper(target.url, config, clock, tls) for target in config.targets]
        self._urls = [target.url for target in config.targets]
        self._pool = ThreadPoolExecutor(len(self._scrapers), thread_name_prefix=f"scrape-{config.name}")
        self._late: dict[int, Future[Scraped]] = {}

    def scrape(self) -> Sequence[Outcome]:
        """One outcome for each target, in their order, after the timeout at the latest."""
        self._late = {index: future for index, future in self._late.items() if not future.done()}
        futures = {
            index: self._pool.submit(scraper.scrape)
            for index, scraper in enumerate(self._scrapers)
            if index not in self._late
        }
        wait(futures.values(), timeout=self._timeout_s)
        return [self._outcome(index, futures.get(index)) for index in range(len(self._scrapers))]

    def _outcome(self, index: int, future: Future[Scraped] | None) -> Outcome:
        if future is None:
            self._scrapers[index].cut()
            return ScrapeFailed("timeout", f"{self._urls[index]}: the scrape before this one has still not ended")
        if not future.done():
            self._late[index] = future
            self._scrapers[index].cut()
            return ScrapeFailed("timeout", f"{self._urls[index]} took longer than {self._timeout_s} s in all")
        try:
            return future.result()
        except ScrapeFailed as failure:
            return failure

    def close(self) -> None:
        """End what is under way and let go of the connections."""
        for scraper in self._scrapers:
            scraper.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
