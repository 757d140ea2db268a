"""SGLang (--enable-metrics). Its model's label was `name` until the end of 2024, and is `model_name` since.

Each rank of a model that is spread over GPUs may tell the same requests; those of tensor and pipeline rank 0 count. Ranks of
data parallelism have requests of their own.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import ABSENT, ANY, PERCENT, Rule, Table, histogram, rule

_MODEL: Any = {"labels": {"model": ("model_name", "name")}}
_RANK = {"tp_rank": (ABSENT, "0"), "pp_rank": (ABSENT, "0")}
# Rows of single priorities stand beside the one of all.
_RANK_0: Any = {**_MODEL, "where": {**_RANK, "priority": (ABSENT,)}}
_OLD, _NEW = "2024", "2025 on"


def _rules(p: str) -> tuple[Rule, ...]:
    queue: Any = {**_MODEL, "fixed": {"stage": "queue"}}
    return (
        rule(f"{p}num_requests", "requests", versions=_NEW, **_MODEL),
        rule(f"{p}e2e_request_latency_seconds_count", "requests", unless=(f"{p}num_requests",), versions=_OLD, **_MODEL),
        *histogram(f"{p}e2e_request_latency_seconds", "latency_seconds", **_MODEL),
        *histogram(f"{p}time_to_first_token_seconds", "first_token_seconds", **_MODEL),
        *histogram(f"{p}inter_token_latency_seconds", "output_token_seconds", versions=_NEW, **_MODEL),
        *histogram(
            f"{p}time_per_output_token_seconds",
            "output_token_seconds",
            unless=(f"{p}inter_token_latency_seconds",),
            versions="to 2025",
            **_MODEL,
        ),
        *histogram(f"{p}queue_time_seconds", "stage_seconds", versions=_NEW, **queue),
        *histogram(f"{p}waiting_request_latency_seconds", "stage_seconds", versions=_OLD, **queue),
        *histogram(
            f"{p}per_stage_req_latency_seconds",
            "stage_seconds",
            labels={**_MODEL["labels"], "stage": "stage"},
            where=_RANK,
            versions=_NEW,
        ),
        rule(f"{p}num_running_reqs", "requests_running", versions=_NEW, **_RANK_0),
        rule(f"{p}num_requests_running", "requests_running", unless=(f"{p}num_running_reqs",), versions=_OLD, **_RANK_0),
        rule(f"{p}num_queue_reqs", "queue_depth", versions=_NEW, **_RANK_0),
        rule(f"{p}num_requests_waiting", "queue_depth", unless=(f"{p}num_queue_reqs",), versions=_OLD, **_RANK_0),
        rule(f"{p}num_retracted_requests", "preemptions", versions="0.5 on", where=_RANK, **_MODEL),
        rule(f"{p}token_usage", "kv_cache_used_ratio", where=_RANK, **_MODEL),
        rule(f"{p}cache_hit_rate", "prefix_cache_hit_ratio", PERCENT, where={"name": ANY}, versions=_OLD, **_MODEL),
        rule(f"{p}cache_hit_rate", "prefix_cache_hit_ratio", where={"model_name": ANY, **_RANK}, versions=_NEW, **_MODEL),
        rule(f"{p}prompt_tokens", "prompt_tokens", **_MODEL),
        rule(f"{p}generation_tokens", "generated_tokens", **_MODEL),
    )


_PREFIXES = ("sglang:", "ray_sglang_", "sglang_")
SGLANG = Table((_rules(prefix) for prefix in _PREFIXES), marks=tuple(f"{prefix}*" for prefix in _PREFIXES))
