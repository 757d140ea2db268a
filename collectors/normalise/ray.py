"""Ray's nodes and Ray Serve: milliseconds, percent, GPU memory in 2**20 bytes, counters typed gauge or, later, counter.

What users feel is told by the proxy, by application, route and status; a deployment is a stage. Every row carries the worker
that wrote it, over which all are summed.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import ANY, MIB, MILLI, PERCENT, Rule, Table, histogram, rule
from collectors.normalise.statuses import CLIENT_ERRORS, FAILURES, outcomes

_FELT = {"application": "application", "route": "route", "code": ("status_code", "error_code")}
_DEPLOYMENT: Any = {"labels": {"application": "application", "deployment": "deployment"}}
_STAGE: Any = {"labels": {**_DEPLOYMENT["labels"], "stage": "deployment"}}
_HOST: Any = {"labels": {"host": "ip"}}
_GPU: Any = {"labels": {"host": "ip", "gpu": "GpuIndex"}, "where": {"GpuIndex": ANY}}


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
        *histogram(f"ray_serve_{protocol}_request_latency_ms", "latency_seconds", MILLI, versions="2.5 on", **felt),
        rule(f"ray_serve_num_ongoing_{protocol}_requests", "requests_running", versions="2.9 on"),
    )


RAY = Table(
    (
        _proxy("http"),
        _proxy("grpc"),
        histogram("ray_serve_deployment_processing_latency_ms", "stage_seconds", MILLI, **_STAGE),
        # Waiting for a replica, and, to 2.9, in the replica's own queue.
        rule("ray_serve_deployment_queued_queries", "queue_depth", **_DEPLOYMENT),
        rule(["ray_serve_replica_pending_queries", "ray_serve_replica_queued_queries"], "queue_depth", **_DEPLOYMENT),
        rule("ray_serve_deployment_replica_healthy", "replicas", **_DEPLOYMENT),
        histogram("ray_serve_actual_batch_size", "batch_size", versions="2.52 on, @serve.batch"),
        histogram("ray_serve_batch_execution_time_ms", "batch_seconds", MILLI, versions="2.52 on, @serve.batch"),
        rule("ray_node_cpu_utilization", "host_cpu_busy_ratio", PERCENT, **_HOST),
        rule("ray_node_mem_used", "host_memory_used_bytes", **_HOST),
        rule("ray_node_mem_available", "host_memory_available_bytes", **_HOST),
        rule("ray_node_mem_total", "host_memory_total_bytes", **_HOST),
        rule("ray_node_network_received", "host_network_received_bytes", **_HOST),
        rule("ray_node_network_sent", "host_network_transmitted_bytes", **_HOST),
        rule("ray_node_disk_io_read", "host_disk_read_bytes", **_HOST),
        rule("ray_node_disk_io_write", "host_disk_written_bytes", **_HOST),
        rule("ray_node_gpus_utilization", "gpu_busy_ratio", PERCENT, **_GPU),
        rule("ray_node_gram_used", "gpu_memory_used_bytes", MIB, **_GPU),
        rule("ray_node_gram_available", "gpu_memory_free_bytes", MIB, **_GPU),
        rule("ray_node_gpu_power_milliwatts", "gpu_power_watts", MILLI, versions="2.50 on", **_GPU),
        rule("ray_node_gpu_temperature_celsius", "gpu_temperature_celsius", versions="2.50 on", **_GPU),
    ),
    marks=("ray_serve_*", "ray_node_*"),
)
