"""What names and types make certain on any page: the metrics of common client libraries, whatever process prints them.

Where a server's own kind tells requests and times, these do not count: they hold calls for health and metrics, too.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MILLI, Table, histogram, rule
from collectors.normalise.statuses import outcomes

_CODES = ("code", "status", "status_code", "http_response_status_code", "http_status_code", "grpc_code")
_SLICED: Any = {"labels": {"route": ("route", "handler", "path", "http_route", "grpc_method"), "code": _CODES}}
_DURATIONS = ("http_request_duration_seconds", "http_server_request_duration_seconds", "grpc_server_handling_seconds")
_COUNTERS = ("http_requests", "grpc_server_handled")
_COUNTS = tuple(f"{name}_count" for name in _DURATIONS)


ANYWHERE = Table(
    (
        rule("process_start_time_seconds", "process_start_seconds"),
        rule("process_resident_memory_bytes", "process_memory_bytes"),
        rule("process_cpu_seconds", "process_cpu_seconds"),
        outcomes(_COUNTERS, _CODES, kinds=("counter",), **_SLICED),
        outcomes(_COUNTS, _CODES, kinds=("histogram", "summary"), unless=_COUNTERS, **_SLICED),
        *(histogram(name, "latency_seconds", kinds=("histogram",), **_SLICED) for name in _DURATIONS),
        histogram("http_server_duration_milliseconds", "latency_seconds", MILLI, kinds=("histogram",), **_SLICED),
    ),
    marks=(),
)
