"""Outcomes of requests by their status, told apart by whose mistake they are: HTTP's codes and classes, gRPC's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collectors.normalise.rules import ANY, Rule, rule

_TOO_MANY_REQUESTS = 429
"""The caller asked properly and was refused: a failure of the server's, though HTTP counts it among the caller's."""

FAILURES = (
    *map(str, (_TOO_MANY_REQUESTS, *range(500, 600))),
    *("5xx", "5XX"),
    *("UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"),
    *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
)
CLIENT_ERRORS = (
    *(str(code) for code in range(400, 500) if code != _TOO_MANY_REQUESTS),
    *("4xx", "4XX"),
    *("CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNAUTHENTICATED"),
)
NONE_YET = 0.0
"""A rule's scale: says that failures would be counted, of a server that prints their counter only once there are some."""


def outcomes(names: str | Sequence[str], status: str | tuple[str, ...], **more: Any) -> tuple[Rule, ...]:
    """The rules of a count of requests by the label `status`, given as other rules give labels."""
    return (
        rule(names, "requests", **more),
        rule(names, "requests_failed", NONE_YET, where={status: ANY}, **more),
        rule(names, "requests_failed", where={status: FAILURES}, **more),
        rule(names, "client_errors", where={status: CLIENT_ERRORS}, **more),
    )
