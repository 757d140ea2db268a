"""Posts messages as signed JSON to a URL."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, HttpUrl, PositiveFloat, model_validator

from alerting.message import Message
from alerting.payload import body_of
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.paths import ConfiguredPath

RETRY_AFTER_S = 5.0
LONGEST_RETRY_AFTER_S = 3600.0
# httpx logs whole URLs at INFO, and this one may hold a token.
logging.getLogger("httpx").setLevel(logging.WARNING)
PASSING = frozenset({408, 425, 429})


class WebhookConfig(BaseModel):
    """Where to post, and where the secret lies: in a file or an environment variable, never here. Time-out in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["webhook"] = "webhook"
    url: HttpUrl
    secret_file: ConfiguredPath | None = None
    secret_env: str | None = None
    timeout_s: PositiveFloat = 5.0

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.secret_file is not None and self.secret_env is not None:
            raise ValueError("give secret_file or secret_env, not both")
        return self

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        return [(k, self.url.host if k == "url" else v) for k, v in super().__repr_args__()]


class Webhook:
    """Posts `alerting.payload` as JSON, once per `send`; redirects are not followed.

    Headers: `X-Recwatch-Message-Id`, the same for every try of one message; and with a secret `X-Recwatch-Timestamp`
    (unix seconds) and `X-Recwatch-Signature: sha256=HEX`, the HMAC-SHA256 with that secret of the timestamp, a full stop,
    and the body's bytes. Receivers compare in constant time and refuse timestamps more than five minutes off.

    A URL may hold a token itself, so only its host is ever named. Any 2xx is delivery. 408, 425, 429, 5xx, a failing
    connection and an answer that cannot be read raise Unavailable, after `Retry-After` if given; any other answer raises
    BadInput.
    """

    def __init__(self, config: WebhookConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._host = config.url.host or ""
        self._secret = _secret(config)
        self._client = httpx.Client(timeout=config.timeout_s, follow_redirects=False)

    def send(self, message: Message) -> None:
        body = body_of(message)
        try:
            answer = self._client.post(str(self._config.url), content=body, headers=self._headers(message, body))
        except httpx.RequestError as error:
            raise Unavailable(f"webhook {self._host}: {type(error).__name__}", RETRY_AFTER_S) from error
        if answer.is_success:
            return
        said = f"webhook {self._host} answered {answer.status_code} to message {message.id}"
        if answer.status_code in PASSING or answer.is_server_error:
            raise Unavailable(said, retry_after_s(answer.headers.get("retry-after"), self._clock.now_ms()))
        raise BadInput(f"{said}; it will not be sent again: check the URL and the secret")

    def close(self) -> None:
        self._client.close()

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Recwatch-Message-Id": message.id}
        if self._secret is not None:
            stamp = str(self._clock.now_ms() // 1000)
            headers |= {"X-Recwatch-Timestamp": stamp, "X-Recwatch-Signature": signature(self._secret, stamp, body)}
        return headers


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What `X-Recwatch-Signature` holds.

    >>> signature(b"secret", "1700000000", b"{}")
    'sha256=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163'
    """
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def retry_after_s(header: str | None, now_ms: int) -> float:
    """Seconds that a `Retry-After` header asks to wait: a count or an HTTP date; five if absent or beyond reading.

    Never more than an hour: a receiver cannot put itself off for good.

    >>> retry_after_s("30", 0), retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 20_000), retry_after_s("soon", 0)
    (30.0, 40.0, 5.0)
    >>> retry_after_s("9" * 400, 0)
    3600.0
    """
    if header is None:
        return RETRY_AFTER_S
    if header.strip().isdecimal():
        return min(float(header), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return RETRY_AFTER_S
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    wait_s = (until - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    return min(max(0.0, wait_s), LONGEST_RETRY_AFTER_S)


def _secret(config: WebhookConfig) -> bytes | None:
    if config.secret_env is not None:
        secret = os.environ.get(config.secret_env, "").strip().encode()
        source = f"environment variable {config.secret_env}"
    elif config.secret_file is not None:
        source = f"file {config.secret_file}"
        try:
            secret = config.secret_file.read_bytes().strip()
        except OSError as error:
            raise BadInput(f"webhook: cannot read the secret's {source}: {error.strerror}") from error
    else:
        return None
    if not secret:
        raise BadInput(f"webhook: the secret's {source} is empty; put the secret there or name no secret")
    return secret
