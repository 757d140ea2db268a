"""Knative Serving's queue proxy, which stands before a KServe model: all that reached it, and what it holds back.

Its old names come from pkg/queue/request_metric.go before OpenTelemetry, in milliseconds; the new ones are in seconds.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MILLI, Table, histogram, rule
from collectors.normalise.statuses import outcomes

_OLD: Any = {"labels": {"code": "response_code"}, "versions": "to 1.18"}
_NEW: Any = {"labels": {"code": "http_response_status_code"}, "versions": "1.19 on"}
_INVOCATION = "kn_serving_invocation_duration_seconds"


KNATIVE = Table(
    (
        outcomes("revision_request_count", "response_code", **_OLD),
        histogram("revision_request_latencies", "latency_seconds", MILLI, **_OLD),
        histogram("revision_app_request_latencies", "stage_seconds", MILLI, fixed={"stage": "container"}, **_OLD),
        rule("revision_queue_depth", "requests_running", versions="to 1.18"),
        outcomes(f"{_INVOCATION}_count", "http_response_status_code", **_NEW),
        histogram(_INVOCATION, "latency_seconds", **_NEW),
        rule("kn_serving_queue_depth", "requests_running", versions="1.19 on"),
    ),
    marks=("revision_request_*", "revision_app_request_*", "kn_serving_*"),
)
