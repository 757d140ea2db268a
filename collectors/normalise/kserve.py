"""KServe's Python servers (python/kserve/kserve/metrics.py): a histogram a step, of which every request takes three.

After the first step a request is either predicted or explained. The steps' sums together are the time of requests; how it is
spread over them nobody can tell from the single steps.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import Table, histogram, rule

_MODEL: Any = {"labels": {"model": "model_name"}}
_STEPS = ("preprocess", "predict", "explain", "postprocess")
_ANSWERS = ("request_predict_seconds_count", "request_explain_seconds_count")

KSERVE = Table(
    (
        *(histogram(f"request_{step}_seconds", "stage_seconds", fixed={"stage": step}, **_MODEL) for step in _STEPS),
        rule(_ANSWERS, ("requests", "latency_seconds_count"), **_MODEL),
        rule([f"request_{step}_seconds_sum" for step in _STEPS], "latency_seconds_sum", **_MODEL),
    ),
    marks=tuple(f"request_{step}_seconds*" for step in _STEPS),
    settings={
        **dict.fromkeys(
            ("latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds", "latency_bucket_increments"),
            "KServe has a histogram a step, and quantiles of steps do not add up; Knative's queue proxy has one of requests",
        ),
        "errors_ratio": "KServe counts no failures; Knative's queue proxy before it does",
    },
)
