"""Knative Serving's queue proxy, which stands before a KServe model: all that reached it, and what it holds back.

Its old names come from pkg/queue/request_metric.go before OpenTelemetry, in milliseconds; the new ones are in seconds.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MILLI, Table, histogram, rule
from collectors.normalise.statuses import outcomes

_OLD: Any = {"labels": {"code": "response_code"}, "versions": "to 1.18"}
_STATUS = "http_response_status_code"
_INVOCATIONS = {"kn_queueproxy_app_duration_seconds": "1.19 and 1.20", "kn_serving_invocation_duration_seconds": "1.21 on"}
_HELD = ("kn_queueproxy_depth", "kn_serving_queue_depth")

KNATIVE = Table(
    (
        outcomes("revision_request_count", "response_code", **_OLD),
        histogram("revision_request_latencies", "latency_seconds", MILLI, **_OLD),
        histogram("revision_app_request_latencies", "stage_seconds", MILLI, fixed={"stage": "container"}, **_OLD),
        # In the container or waiting for it.
        rule("revision_queue_depth", "requests_running", versions="to 1.18"),
        *(
            (
                *outcomes(f"{name}_count", _STATUS, labels={"code": _STATUS}, versions=versions),
                *histogram(name, "latency_seconds", labels={"code": _STATUS}, versions=versions),
            )
            for name, versions in _INVOCATIONS.items()
        ),
        rule(_HELD, "requests_running", versions="1.19 on"),
    ),
    marks=("revision_request_*", "revision_app_request_*", "kn_queueproxy_*", "kn_serving_*"),
)
