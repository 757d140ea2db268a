"""Addresses that are asked over HTTP."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL

from recwatch.core.errors import BadInput


def require_http(url: str) -> str:
    """The address itself. Raises BadInput where it is none that can be asked, or holds a password."""
    try:
        parsed = urlsplit(url)
        host, user = parsed.hostname, parsed.username
        parsed.port  # noqa: B018 - raises where it is no number
        URL(url)  # raises where it is none that can be asked
    except ValueError as error:
        raise BadInput(f"'{url}' is no URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not host:
        raise BadInput(f"'{url}' is no HTTP address; write it out, such as http://127.0.0.1:8000/metrics")
    if user is not None:
        raise BadInput(f"the address of {host} holds a user or password, which labels and messages would show; leave it out")
    return url
