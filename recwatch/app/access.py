"""Who may ask what of the API: hosts, origins and the token."""

from __future__ import annotations

import fcntl
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from recwatch.core.errors import BadInput, Unavailable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READS = ("GET", "HEAD", "OPTIONS")
BODIES = ("application/json", "application/x-protobuf")
"""Types that no form of a web page can send."""


class Refusal(NamedTuple):
    """An HTTP status and the sentence that says why."""

    status: int
    detail: str


def refusal(method: str, headers: Mapping[str, str], token: str) -> Refusal | None:
    """Why a request is not let through, or None. `headers` have lower-case names; hosts are compared without their port.

    Checking Host keeps a rebound DNS name out, checking Origin keeps other sites' pages out, and a write needs the token.

    >>> refusal("GET", {"host": "evil.example:8300"}, "t")
    Refusal(status=421, detail="This API does not serve the host 'evil.example:8300'.")
    """
    host = headers.get("host", "")
    if _name(f"//{host}") not in LOOPBACK:
        return Refusal(421, f"This API does not serve the host '{host}'.")
    origin = headers.get("origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return Refusal(403, "Pages of another origin may not use this API.")
    if method in READS:
        return None
    given = headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return Refusal(401, "Writing needs the header 'Authorization: Bearer TOKEN' with the token of its token file.")
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in BODIES:
        return Refusal(415, f"Writing needs a body of content type {' or '.join(BODIES)}.")
    return None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class Guard:
    """Stands before the whole application, its error pages included. `tokens` are those of single paths."""

    def __init__(self, app: ASGIApp, token: str, tokens: Mapping[str, str]) -> None:
        self._app = app
        self._token = token
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            token = self._tokens.get(scope["path"], self._token)
            refused = refusal(scope["method"], Headers(scope=scope), token)
            if refused is not None:
                await JSONResponse({"detail": refused.detail}, refused.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def keep_token(path: Path, shared: bool = False) -> str:
    """The token in a file that only its owner may read; a fresh one is written where there is none yet.

    A `shared` one may be read by the file's group, if somebody allowed it, and belong to another user.

    Raises BadInput for a file that others may read, or that another user owns, and Unavailable when none can be written;
    then no file is left half-written.
    """
    return known_token(path, shared) or _write_token(path)


def known_token(path: Path, shared: bool = False) -> str:
    """The token that the file holds; empty where there is none. Raises BadInput for a file that is not its owner's alone."""
    try:
        with path.open(encoding="utf-8") as file:
            found = os.fstat(file.fileno())
            owned = shared or found.st_uid == os.getuid()
            if not owned or stat.S_IMODE(found.st_mode) & (0o027 if shared else 0o077):
                mode = f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}"
                raise BadInput(
                    f"The token file {path} is not its user's alone ({mode}), and whoever has the token may act here. "
                    "Remove it: the next start writes a fresh one."
                )
            return file.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The token file {path} cannot be read ({error}). Remove it, or set token_file.") from error


def _write_token(path: Path) -> str:
    """A fresh token, or that of another process of ours which found none either and was faster."""
    token = secrets.token_urlsafe(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if others := file.read().strip():
                return others
            file.seek(0)
            file.write(token)
            file.truncate()
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise Unavailable(f"The token file {path} cannot be written: {error.strerror}.") from error
    return token
