"""TorchServe (ts/configs/metrics.yaml): milliseconds, microseconds, percent, "Megabytes" of 2**20 and "Gigabytes" of 2**30.

Its page is empty but for `metrics_mode=prometheus`. Counts of status codes are of all calls, such as of health and of
management, and only inferences are requests; a failure's share is therefore one of all calls.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import GIB, MIB, MICRO, MILLI, PERCENT, Table, rule

_MODE = "metrics_mode=prometheus in config.properties"
_MODEL: Any = {"labels": {"model": "model_name", "version": "model_version"}, "setting": _MODE}
_HOST: Any = {"labels": {"host": "Hostname"}, "setting": _MODE}
_GPU: Any = {"labels": {"host": "Hostname", "gpu": "DeviceId"}, "setting": _MODE}
_REQUESTS = "ts_inference_requests"

TORCHSERVE = Table(
    (
        rule(_REQUESTS, ("requests", "latency_seconds_count"), **_MODEL),
        rule("ts_inference_latency_microseconds", "latency_seconds_sum", MICRO, **_MODEL),
        rule(_REQUESTS, "stage_seconds_count", fixed={"stage": "queue"}, **_MODEL),
        rule("ts_queue_latency_microseconds", "stage_seconds_sum", MICRO, fixed={"stage": "queue"}, **_MODEL),
        rule(["Requests2XX", "Requests4XX", "Requests5XX"], "other_calls", setting=_MODE),
        rule(_REQUESTS, "other_calls", -1.0, setting=_MODE),
        rule("Requests4XX", "client_errors", fixed={"code": "4XX"}, setting=_MODE),
        rule("Requests5XX", "requests_failed", fixed={"code": "5XX"}, setting=_MODE),
        rule("PredictionTime", "last_prediction_seconds", MILLI, labels={"model": "ModelName"}, setting=_MODE),
        rule("CPUUtilization", "host_cpu_busy_ratio", PERCENT, **_HOST),
        rule("MemoryUsed", "host_memory_used_bytes", MIB, **_HOST),
        rule("MemoryAvailable", "host_memory_available_bytes", MIB, **_HOST),
        rule("DiskAvailable", "host_filesystem_available_bytes", GIB, fixed={"mountpoint": "/"}, **_HOST),
        rule("GPUUtilization", "gpu_busy_ratio", PERCENT, **_GPU),
        rule("GPUMemoryUtilization", "gpu_memory_used_ratio", PERCENT, **_GPU),
        rule("GPUMemoryUsed", "gpu_memory_used_bytes", MIB, **_GPU),
    ),
    marks=("ts_inference_*", "ts_queue_latency_*", "Requests2XX*", "Requests4XX*", "Requests5XX*"),
    settings={
        **dict.fromkeys(
            ("latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds", "latency_bucket_increments"),
            "TorchServe counts times and requests, which gives means only; a proxy before it may have a histogram",
        ),
        "queue_depth": "no metric tells it; jobQueueStatus in the management API does",
    },
)
