"""Ray Serve: milliseconds, and counters that are typed gauge or, later, counter.

What users feel is told by the proxy, by application, route and status; a deployment is a stage. Every row carries the worker
that wrote it, over which all are summed.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MILLI, Rule, Table, histogram, rule
from collectors.normalise.statuses import CLIENT_ERRORS, FAILURES, outcomes

_FELT = {"application": "application", "route": "route", "code": ("status_code", "error_code")}
_DEPLOYMENT: Any = {"labels": {"application": "application", "deployment": "deployment"}}
_STAGE: Any = {"labels": {**_DEPLOYMENT["labels"], "stage": "deployment"}}


def _proxy(protocol: str) -> tuple[Rule, ...]:
    """What the proxy tells; before 2.5 only the counter of errors told a status."""
    requests = f"ray_serve_num_{protocol}_requests"
    errors = f"ray_serve_num_{protocol}_error_requests"
    felt: Any = {"labels": _FELT}
    before: Any = {"unless": (requests,), "versions": "to 2.4"}
    return (
        *outcomes(requests, "status_code", **felt),
        rule(errors, "requests_failed", where={"error_code": FAILURES}, **before, **felt),
        rule(errors, "client_errors", where={"error_code": CLIENT_ERRORS}, **before, **felt),
        *histogram(f"ray_serve_{protocol}_request_latency_ms", "latency_seconds", MILLI, versions="2.4 on", **felt),
        rule(f"ray_serve_num_ongoing_{protocol}_requests", "requests_running", versions="2.7 on"),
    )


RAY_SERVE = Table(
    (
        _proxy("http"),
        _proxy("grpc"),
        histogram("ray_serve_deployment_processing_latency_ms", "stage_seconds", MILLI, **_STAGE),
        # Waiting for a replica and, in older releases, in the replica's own queue.
        rule("ray_serve_deployment_queued_queries", "queue_depth", **_DEPLOYMENT),
        rule(["ray_serve_replica_pending_queries", "ray_serve_replica_queued_queries"], "queue_depth", **_DEPLOYMENT),
        rule("ray_serve_deployment_replica_healthy", "replicas", **_DEPLOYMENT),
        histogram("ray_serve_actual_batch_size", "batch_size", versions="2026 on", setting="@serve.batch"),
        histogram("ray_serve_batch_execution_time_ms", "batch_seconds", MILLI, versions="2026 on", setting="@serve.batch"),
    ),
    marks=("ray_serve_*",),
)
