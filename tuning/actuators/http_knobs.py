"""Knobs over HTTP: one resource whose GET tells them and whose PATCH sets them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from pydantic import TypeAdapter, ValidationError

from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.proposals import KnobValue
from tuning.actuators.actuator import Knob

RETRY_AFTER_S = 2.0
KNOBS = TypeAdapter(dict[str, Knob])


class HttpKnobs:
    """The knobs at `url`, such as http://shop:8000/knobs; each call waits at most `timeout_s` seconds for the server.

    GET answers `{"max_batch": {"value": 2, "low": 1, "high": 64}, "variant": {"value": "a", "choices": ["a", "b"]}}`;
    PATCH with `{"max_batch": 16}` answers the same shape, or 422 with a sentence.
    """

    def __init__(self, url: str, timeout_s: float = 2.0) -> None:
        self._url = url
        # A knob is reached directly: a proxy from the environment would decide who may tune what.
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)

    def read(self) -> Mapping[str, Knob]:
        return self._ask("GET")

    def apply(self, knob: str, value: KnobValue) -> KnobValue:
        self._ask("PATCH", {knob: value})
        knobs = self.read()
        if knob not in knobs:
            raise BadInput(f"{self._url} took {knob}={value} but tells no such knob; it tells {sorted(knobs)}")
        return knobs[knob].value

    def close(self) -> None:
        self._client.close()

    def _ask(self, method: str, body: Mapping[str, KnobValue] | None = None) -> Mapping[str, Knob]:
        try:
            answer = self._client.request(method, self._url, json=body)
        except httpx.TransportError as failure:
            raise Unavailable(f"{method} {self._url}: {failure}", RETRY_AFTER_S) from failure
        if answer.is_server_error:
            raise Unavailable(f"{method} {self._url}: the server answered {answer.status_code}", RETRY_AFTER_S)
        if not answer.is_success:
            raise BadInput(f"{method} {self._url} was refused with {answer.status_code}: {answer.text[:300]}")
        try:
            return KNOBS.validate_json(answer.content)
        except ValidationError as failure:
            raise BadInput(f"{method} {self._url} answered something else than knobs: {answer.text[:300]}") from failure
