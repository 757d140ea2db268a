"""vLLM, and what is named after it: under Ray, in NVIDIA NIM without a prefix, TensorRT-LLM's own server.

Names are those of vllm/engine/metrics.py (V0) and vllm/v1/metrics/loggers.py (V1). A metric that goes is hidden in the
release after its deprecation, and gone in the one after that; `--show-hidden-metrics-for-version` brings it back meanwhile.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MILLI, Rule, Table, histogram, rule

# vLLM's backend for Triton labels its models as Triton does.
_MODEL: Any = {"labels": {"model": ("model_name", "model")}}
_STAGES = ("queue", "prefill", "decode", "inference")
_HIDDEN = "--show-hidden-metrics-for-version"


def named_after_vllm(prefix: str) -> tuple[Rule, ...]:
    """The rules of a server that puts `prefix` before vLLM's names."""
    p = prefix
    success, failure = f"{p}request_success", f"{p}request_failure"
    usage, itl = f"{p}kv_cache_usage_perc", f"{p}inter_token_latency_seconds"
    old: Any = {**_MODEL, "setting": _HIDDEN}
    return (
        rule(success, "requests", **_MODEL),
        rule(success, "requests_failed", where={"finished_reason": ("error",)}, versions="2026 on", **_MODEL),
        rule(failure, ("requests", "requests_failed"), versions="NIM", **_MODEL),
        rule(f"{p}request_finish", "requests", unless=(success, failure), versions="NIM", **_MODEL),
        rule(f"{p}e2e_request_latency_seconds_count", "requests", unless=(success, failure, f"{p}request_finish"), **_MODEL),
        *histogram(f"{p}e2e_request_latency_seconds", "latency_seconds", **_MODEL),
        *histogram(f"{p}time_to_first_token_seconds", "first_token_seconds", **_MODEL),
        *histogram(itl, "output_token_seconds", versions="0.11 on", **_MODEL),
        *histogram(f"{p}time_per_output_token_seconds", "output_token_seconds", unless=(itl,), versions="to 0.12", **old),
        *(
            one
            for stage in _STAGES
            for one in histogram(f"{p}request_{stage}_time_seconds", "stage_seconds", fixed={"stage": stage}, **_MODEL)
        ),
        *histogram(
            f"{p}time_in_queue_requests",
            "stage_seconds",
            fixed={"stage": "queue"},
            unless=(f"{p}request_queue_time_seconds",),
            versions="0.6 to 0.8, V0",
            **_MODEL,
        ),
        *histogram(
            f"{p}model_execute_time_milliseconds",
            "stage_seconds",
            MILLI,
            fixed={"stage": "execute"},
            versions="0.6 to 0.9, V0",
            setting="--collect-detailed-traces",
            **_MODEL,
        ),
        *histogram(f"{p}iteration_tokens_total", "iteration_tokens", versions="0.6.5 on", **_MODEL),
        rule(f"{p}num_requests_running", "requests_running", **_MODEL),
        rule(f"{p}num_requests_waiting", "queue_depth", **_MODEL),
        rule(f"{p}num_preemptions", "preemptions", **_MODEL),
        rule(f"{p}prompt_tokens", "prompt_tokens", **_MODEL),
        rule(f"{p}generation_tokens", "generated_tokens", **_MODEL),
        rule(usage, "kv_cache_used_ratio", versions="0.9 on", **_MODEL),
        rule(f"{p}gpu_cache_usage_perc", "kv_cache_used_ratio", unless=(usage,), versions="to 0.10", **old),
        # -1 while there is nothing to speak of.
        rule(f"{p}gpu_prefix_cache_hit_rate", "prefix_cache_hit_ratio", versions="0.6 to 0.8, V0", **_MODEL),
        *(
            one
            for new, what in (("queries", "prefix_cache_queries"), ("hits", "prefix_cache_hits"))
            for one in (
                rule(f"{p}prefix_cache_{new}", what, versions="0.9 on", **_MODEL),
                rule(f"{p}gpu_prefix_cache_{new}", what, unless=(f"{p}prefix_cache_{new}",), versions="0.8 to 0.10", **old),
            )
        ),
    )


_PREFIXES = ("vllm:", "ray_vllm_", "ray_vllm:", "vllm_", "")
"""Plain; under Ray, since it allows no colons, and before; past a collector that allows none; NVIDIA NIM."""

VLLM = Table(
    (one for prefix in _PREFIXES for one in named_after_vllm(prefix)),
    marks=(
        *(f"{prefix}*" for prefix in _PREFIXES if prefix),
        *("num_requests_running", "num_requests_waiting", "gpu_cache_usage_perc", "kv_cache_usage_perc"),
        *("request_finish_total", "num_request_max", "e2e_request_latency_seconds_count"),
    ),
    settings={
        "prefix_cache_hit_ratio": "--enable-prefix-caching, the default since V1",
        "batch_size_mean": "vLLM has no batches of requests; iteration_tokens_mean tells how much a step works on",
    },
)
TRTLLM = Table(
    (
        named_after_vllm("trtllm_"),
        rule("trtllm_kv_cache_utilization", "kv_cache_used_ratio", **_MODEL),
        rule("trtllm_kv_cache_hit_rate", "prefix_cache_hit_ratio", **_MODEL),
    ),
    marks=("trtllm_*",),
)
