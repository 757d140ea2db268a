"""TensorFlow Serving: names begin with a colon, times are microseconds, the page is /monitoring/prometheus/metrics.

It is there where `--monitoring_config_file` enables `prometheus_config`.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MICRO, Table, histogram, rule
from collectors.normalise.statuses import outcomes

_CONFIG = "prometheus_config in --monitoring_config_file"
_MODEL: Any = {"labels": {"model": "model_name", "code": "status"}, "setting": _CONFIG}
_SERVING = ":tensorflow:serving:"
_BATCHING: Any = {"setting": f"{_CONFIG}; --enable_batching"}

TF_SERVING = Table(
    (
        outcomes(f"{_SERVING}request_count", "status", versions="2.5 on", **_MODEL),
        histogram(f"{_SERVING}request_latency", "latency_seconds", MICRO, versions="2.5 on", **_MODEL),
        histogram(
            f"{_SERVING}runtime_latency", "stage_seconds", MICRO, fixed={"stage": "runtime"}, versions="2.4 on", **_MODEL
        ),
        rule(":tensorflow:core:graph_run_time_usecs", "stage_seconds_sum", MICRO, fixed={"stage": "graph"}, setting=_CONFIG),
        rule(":tensorflow:core:graph_runs", "stage_seconds_count", fixed={"stage": "graph"}, setting=_CONFIG),
        *(
            one
            for session in ("batching_session", "saved_model_with_batching")
            for one in (
                histogram(
                    f"{_SERVING}{session}:queuing_latency", "stage_seconds", MICRO, fixed={"stage": "queue"}, **_BATCHING
                ),
                histogram(f"{_SERVING}{session}:processed_batch_size", "batch_size", **_BATCHING),
            )
        ),
    ),
    marks=(":tensorflow:*",),
)
