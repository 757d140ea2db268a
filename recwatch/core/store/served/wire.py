"""ClickHouse's HTTP protocol: where a request says what it asks, how bodies are packed, and which status means what."""

from __future__ import annotations

import binascii
import gzip
import sys
import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from functools import partial
from typing import Any, NamedTuple

import lz4.frame
from starlette.requests import Request

from recwatch.core.store.served.engine import refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WORTH_PACKING_BYTES = 1024


class Packing(NamedTuple):
    """How bodies are packed whole, and what unpacks them."""

    pack: Callable[[bytes], bytes]
    unpacker: Callable[[], Any]


PACKINGS: Mapping[str, Packing] = {
    "lz4": Packing(lz4.frame.compress, lz4.frame.LZ4FrameDecompressor),
    "zstd": Packing(zstd.compress, zstd.ZstdDecompressor),
    "gzip": Packing(gzip.compress, partial(zlib.decompressobj, wbits=31)),
    "deflate": Packing(zlib.compress, zlib.decompressobj),
}
# What ClickHouse answers for the codes of its own that a client may meet here; 500 for any other.
_STATUSES: Mapping[int, int] = {
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 69, 70, 72, 130, 386, 456, 457), 400),
    **dict.fromkeys((192, 193, 497, 516), 403),
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 73, 81, 115), 404),
    159: 408,
    307: 413,
    48: 501,
}
# Parameters of a request that are no settings of the engine.
_OF_REQUESTS = """
    buffer_size client_protocol_version compress database decompress default_format enable_http_compression
    http_headers_progress_interval_ms password query query_id quota_key role send_progress_in_http_headers session_check
    session_id session_timeout user wait_end_of_query
"""
_OWN = frozenset(_OF_REQUESTS.split())


class TooLarge(Exception):
    """A body is larger than its sender may send."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks. `format` is empty where it leaves that open; `revision` is 0 without one."""

    sql: bytes
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    database: str
    format: str
    revision: int


async def asked_of(request: Request, largest_bytes: int) -> Asked:
    """Read a request. Raises TooLarge, or Refused for what no client that this is made for sends."""
    body = await _body(request, largest_bytes)
    told = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        told |= _fields(request.headers["content-type"], body)
        body = b""
    if told.get("compress") == "1" or told.get("decompress") == "1":
        raise refused(48, "blocks in ClickHouse's own compression are not served; use Accept-Encoding", "NOT_IMPLEMENTED")
    revision = told.get("client_protocol_version", "0")
    return Asked(
        sql=b"\n".join(part for part in (told.get("query", "").encode(), body) if part),
        parameters={name.removeprefix("param_"): value for name, value in told.items() if name.startswith("param_")},
        settings={name: value for name, value in told.items() if name not in _OWN and not name.startswith("param_")},
        database=told.get("database") or request.headers.get("x-clickhouse-database", ""),
        format=told.get("default_format") or request.headers.get("x-clickhouse-format", ""),
        revision=int(revision) if revision.isdecimal() else 0,
    )


async def _body(request: Request, largest_bytes: int) -> bytes:
    packed = bytearray()
    async for chunk in request.stream():
        packed += chunk
        if len(packed) > largest_bytes:
            raise TooLarge(f"the body is larger than {largest_bytes} bytes")
    return decoded(bytes(packed), request.headers.get("content-encoding", ""), largest_bytes)


def decoded(packed: bytes, packing: str, largest_bytes: int) -> bytes:
    """Unpack a body. Raises TooLarge before it takes more memory than that, and Refused for one that is not so packed."""
    if packing in ("", "identity") or not packed:
        return packed
    if packing not in PACKINGS:
        raise refused(48, f"'{packing}' is not served; pack bodies with {', '.join(PACKINGS)}", "NOT_IMPLEMENTED")
    unpacker = PACKINGS[packing].unpacker()
    try:
        body: bytes = unpacker.decompress(packed, largest_bytes)
    except (RuntimeError, zlib.error, zstd.ZstdError) as error:
        raise refused(354, f"the body is not {packing}", "ZLIB_INFLATE_FAILED") from error
    if not unpacker.eof:
        raise TooLarge(f"the body is broken off, or larger than {largest_bytes} bytes")
    return body


def encoded(body: bytes, accepted: str) -> tuple[bytes, dict[str, str]]:
    """Pack a body in the first way that its reader accepts, and say so in headers; small ones stay as they are."""
    wanted = {name.partition(";")[0].strip() for name in accepted.split(",")}
    packing = next((name for name in PACKINGS if name in wanted), None)
    if packing is None or len(body) < WORTH_PACKING_BYTES:
        return body, {}
    return PACKINGS[packing].pack(body), {"Content-Encoding": packing}


def credentials_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password, from Basic authentication or ClickHouse's own headers.

    >>> credentials_of({"authorization": "Basic cmVhZGVyOmh1c2g="}), credentials_of({"x-clickhouse-user": "ana"})
    (('reader', 'hush'), ('ana', ''))
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password
    return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")


def status_of(code: int) -> int:
    """The HTTP status that goes with a code of ClickHouse."""
    return _STATUSES.get(code, 500)


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    if not form.is_multipart():
        raise refused(36, "the body is no form", "BAD_ARGUMENTS")
    told = {}
    for part in form.get_payload():
        content: Any = part.get_payload(decode=True)  # type: ignore[union-attr]
        told[str(part.get_param("name", header="content-disposition"))] = content.decode()  # type: ignore[union-attr]
    return told
