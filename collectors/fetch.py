"""An address → what it answers, over HTTP, within limits of time and size."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from yarl import URL

from collectors.http_config import HttpConfig, TlsConfig
from recwatch.core.errors import Unavailable

Reason = Literal[
    "unreachable",
    "tls",
    "credentials",
    "timeout",
    "http_status",
    "encoding",
    "html",
    "cut_off",
    "too_large",
    "too_many_samples",
    "label_limit",
    "malformed",
]

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
# Some servers hang up after 5 s without a request; a connection let go of earlier is never used while they do.
_KEEPALIVE_S = 4.0
_READ_BYTES = 2**18


class FetchFailed(Unavailable):
    """An address gave nothing that can be used; `reason` is one word of it, to count by."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body, unpacked, what the server calls it, and whether it is surely whole: it ends where that was announced."""

    body: bytes
    content_type: str
    whole: bool


class Connections:
    """What fetchers share: open connections, and TLS settings. Opened and closed on the loop that they run on."""

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Accept-Encoding": "gzip", "User-Agent": "recwatch"},
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
        )
        self._tls: dict[TlsConfig, TlsContexts] = {}

    def tls(self, config: TlsConfig) -> TlsContexts:
        """The TLS settings that this configuration asks for, made once."""
        return self._tls.setdefault(config, TlsContexts(config))

    async def close(self) -> None:
        await self.session.close()


class Fetcher:
    """Asks one address again and again. What it proves itself with goes to that scheme, host and port alone."""

    def __init__(self, connections: Connections, url: str, config: HttpConfig, body_limit: int) -> None:
        self._session = connections.session
        self._url = URL(url)
        self._shown = url
        self._config = config
        self._body_limit = body_limit
        self._tls = connections.tls(config.tls_config or TlsConfig())

    async def fetch(self, headers: Mapping[str, str], timeout_s: float) -> Fetched:
        """The body of an answer of status 200. Raises FetchFailed, and nothing else, when the address is at fault."""
        try:
            async with asyncio.timeout(timeout_s), await self._answer(headers) as response:
                if response.status != 200:
                    raise FetchFailed("http_status", f"{self._shown} answers HTTP status {response.status}, not 200")
                return Fetched(
                    await self._body(response), response.headers.get("Content-Type", ""), _announces_its_end(response)
                )
        except TimeoutError as error:
            raise FetchFailed("timeout", f"{self._shown} took longer than {timeout_s:g} s in all") from error
        except aiohttp.ClientPayloadError as error:
            raise FetchFailed("cut_off", f"{self._shown} broke off its answer before the end that it announced") from error
        except aiohttp.ServerDisconnectedError as error:
            raise FetchFailed("cut_off", f"{self._shown} hung up without an answer") from error
        except aiohttp.ClientResponseError as error:
            raise FetchFailed("cut_off", f"{self._shown} gives an answer that is not HTTP; check scheme and port") from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise FetchFailed("tls", f"{self._shown} and recwatch do not agree on TLS: {_of_tls(error)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed("unreachable", f"{self._shown} cannot be reached: {_of_system(error)}") from error

    async def _answer(self, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The answer after redirects; another origin than the configured one gets neither credentials nor certificate."""
        url = self._url
        for _ in range(_MAX_REDIRECTS + 1):
            known = url.origin() == self._url.origin()
            response = await self._session.get(
                url,
                headers={**headers, **(authorization(self._config) if known else {})},
                ssl=self._tls.context(with_certificate=known) if url.scheme == "https" else True,
                server_hostname=self._tls.server_name if known else None,
                allow_redirects=False,
            )
            if response.status not in _REDIRECTS or "Location" not in response.headers:
                return response
            response.close()
            url = url.join(URL(response.headers["Location"]))
        raise FetchFailed("unreachable", f"{self._shown} redirects more than {_MAX_REDIRECTS} times")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body, unpacked; reading stops where the limit is passed."""
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("gzip", "identity"):
            raise FetchFailed("encoding", f"{self._shown} answers in '{encoding}', and was asked for gzip or nothing")
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        chunks: list[bytes] = []
        room = self._body_limit
        async for chunk in response.content.iter_any():
            chunks.append(self._unpacked(unpack, chunk, room + 1) if unpack else chunk)
            room -= len(chunks[-1])
            if room < 0:
                raise FetchFailed("too_large", f"{self._shown} has a page larger than {self._body_limit} bytes")
        if unpack and not unpack.eof:
            raise FetchFailed("cut_off", f"{self._shown} broke off in the middle of its gzip data")
        return b"".join(chunks)

    def _unpacked(self, unpack: Any, chunk: bytes, at_most: int) -> bytes:
        try:
            data: bytes = unpack.decompress(chunk, at_most)
        except zlib.error as error:
            raise FetchFailed("encoding", f"{self._shown} sends gzip data that cannot be unpacked: {error}") from error
        return data


def _announces_its_end(response: aiohttp.ClientResponse) -> bool:
    return response.content_length is not None or "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _of_tls(error: Exception) -> str:
    """What is wrong, in OpenSSL's words, without the places in its source."""
    told = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    said = getattr(told, "verify_message", "") or (getattr(told, "reason", "") or "").replace("_", " ").lower()
    return said or "the connection ended in between"


def _of_system(error: Exception) -> str:
    """What is wrong, in the operating system's words."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} is not known"
    if isinstance(error, OSError):
        return os.strerror(error.errno).lower() if error.errno else "no connection"
    return str(error) or "the connection ended"


def require_usable(config: HttpConfig) -> None:
    """Raise FetchFailed where a file that holds a secret, an authority or a certificate is not as it should be."""
    authorization(config)
    TlsContexts(config.tls_config or TlsConfig()).context(with_certificate=True)


def authorization(config: HttpConfig) -> dict[str, str]:
    """The header that says who asks, from its file as it is now. Raises FetchFailed where the file is of no use."""
    if config.authorization is not None:
        return {"Authorization": f"{config.authorization.type} {_secret(config.authorization.credentials_file)}"}
    if config.basic_auth is not None:
        pair = f"{config.basic_auth.username}:{_secret(config.basic_auth.password_file)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _secret(file: Path) -> str:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FetchFailed("credentials", f"{file}, which holds a secret, cannot be read") from error
    if not secret or not secret.isprintable():
        raise FetchFailed("credentials", f"{file} is to hold one secret on one line, and nothing else")
    return secret


class TlsContexts:
    """The TLS settings of an address, made anew when one of their files changes."""

    def __init__(self, config: TlsConfig) -> None:
        self.server_name = config.server_name
        self._config = config
        self._made_of: object = None
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def context(self, with_certificate: bool) -> ssl.SSLContext:
        """The settings now, with our own certificate or without. Raises FetchFailed where a file is of no use."""
        try:
            made_of = [(stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in map(Path.stat, self._config.files)]
            if made_of != self._made_of:
                self._contexts, self._made_of = {}, made_of
            if with_certificate not in self._contexts:
                self._contexts[with_certificate] = _context(self._config, with_certificate)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(map(str, self._config.files))
            why = _of_tls(error) if isinstance(error, ssl.SSLError) else _of_system(error)
            raise FetchFailed("tls", f"the files of tls_config ({files}) cannot be used: {why}") from error
        return self._contexts[with_certificate]


def _context(config: TlsConfig, with_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file)
    if config.insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if with_certificate and config.cert_file is not None:
        # An empty password: without one, OpenSSL asks the terminal for that of an encrypted key.
        context.load_cert_chain(config.cert_file, config.key_file, password="")
    return context
