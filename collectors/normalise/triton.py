"""NVIDIA Triton (src/metrics.cc of its core). Units are in the names, but for energy in joules and shares of 0..1.

Mean times come from counters of microseconds over the count of successes, so that nobody needs to switch summaries on, which
slows the server down. TensorRT-LLM's backend puts the name of the metric into a label, over which nothing may be summed.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import MICRO, MILLI, Rule, Table, histogram, quantiles, rule

_MODEL: Any = {"labels": {"model": "model", "version": "version"}}
_GPU: Any = {"labels": {"gpu": "gpu_uuid"}}
_SUCCESS = "nv_inference_request_success"
_SUMMARIES = "--metrics-config summary_latencies=true, which costs throughput"
_HISTOGRAMS = "--metrics-config histogram_latencies=true"
_GPU_METRICS = "--allow-gpu-metrics=true, on a machine where DCGM works"
_FIRST = "nv_inference_first_response_histogram_ms"


def _timed(what: str, family: str, **told: Any) -> tuple[Rule, ...]:
    """Times as counters or, where these were switched off or summaries on, as a summary of the same."""
    counter, summary = f"nv_inference_{what}_duration_us", f"nv_inference_{what}_summary_us"
    return (
        rule(counter, f"{family}_sum", MICRO, **told),
        rule(_SUCCESS, f"{family}_count", **told),
        rule(f"{summary}_sum", f"{family}_sum", MICRO, unless=(counter,), versions="23.04 on", setting=_SUMMARIES, **told),
        quantiles(summary, family, MICRO, versions="23.04 on", setting=_SUMMARIES, **told),
    )


def _stage(stage: str) -> tuple[Rule, ...]:
    return _timed(stage, "stage_seconds", fixed={"stage": stage}, **_MODEL)


def _computed(stage: str) -> tuple[Rule, ...]:
    """Of a stage that answers from the cache never reach, though they are among the successes."""
    return (
        *_stage(stage),
        rule("nv_cache_num_hits_per_model", "stage_seconds_count", -1.0, fixed={"stage": stage}, **_MODEL),
    )


def _trt_llm(name: str, label: str, value: str, quantity: str) -> Rule:
    return rule(f"nv_trt_llm_{name}_metrics", quantity, where={label: (value,)}, versions="with TensorRT-LLM", **_MODEL)


TRITON = Table(
    (
        rule(_SUCCESS, "requests", **_MODEL),
        # One row before 24.07, since then one a reason.
        rule("nv_inference_request_failure", ("requests", "requests_failed"), **_MODEL),
        *_timed("request", "latency_seconds", **_MODEL),
        *_stage("queue"),
        *_stage("compute"),  # of TensorRT Inference Server, which did not tell its parts
        *(one for part in ("input", "infer", "output") for one in _computed(f"compute_{part}")),
        histogram(
            _FIRST, "first_token_seconds", MILLI, versions="24.11 on, decoupled models", setting=_HISTOGRAMS, **_MODEL
        ),
        # So its documentation prints the buckets.
        rule(_FIRST, "first_token_seconds_bucket", MILLI, **_MODEL),
        rule("nv_inference_count", "batch_size_sum", **_MODEL),
        rule("nv_inference_exec_count", "batch_size_count", **_MODEL),
        rule("nv_inference_pending_request_count", "queue_depth", versions="23.09 on", **_MODEL),
        rule(
            "nv_cache_num_hits_per_model", "cache_hits", setting="--cache-config and response_cache of the model", **_MODEL
        ),
        rule("nv_cache_num_misses_per_model", "cache_misses", **_MODEL),
        rule("nv_cache_num_hits", "cache_hits", unless=("nv_cache_num_hits_per_model",), versions="to 23.02"),
        rule("nv_cache_num_misses", "cache_misses", unless=("nv_cache_num_misses_per_model",), versions="to 23.02"),
        rule("nv_cache_num_evictions", "cache_evictions", versions="to 23.02"),
        _trt_llm("request", "request_type", "waiting", "queue_depth"),
        _trt_llm("request", "request_type", "scheduled", "requests_running"),
        _trt_llm("kv_cache_block", "kv_cache_block_type", "fraction", "kv_cache_used_ratio"),
        _trt_llm("kv_cache_block", "kv_cache_block_type", "used", "kv_cache_used_blocks"),
        _trt_llm("kv_cache_block", "kv_cache_block_type", "max", "kv_cache_blocks"),
        rule("nv_llm_input_token_len_sum", "prompt_tokens", versions="with TensorRT-LLM", **_MODEL),
        rule("nv_llm_output_token_len_sum", "generated_tokens", versions="with TensorRT-LLM", **_MODEL),
        rule("nv_gpu_utilization", "gpu_busy_ratio", **_GPU),
        rule("nv_gpu_memory_used_bytes", "gpu_memory_used_bytes", **_GPU),
        rule("nv_gpu_memory_total_bytes", "gpu_memory_total_bytes", **_GPU),
        rule("nv_gpu_power_usage", "gpu_power_watts", **_GPU),
        rule("nv_gpu_power_limit", "gpu_power_limit_watts", **_GPU),
        rule("nv_energy_consumption", "gpu_energy_joules", **_GPU),
        rule("nv_cpu_utilization", "host_cpu_busy_ratio"),
        rule("nv_cpu_memory_used_bytes", "host_memory_used_bytes"),
        rule("nv_cpu_memory_total_bytes", "host_memory_total_bytes"),
    ),
    marks=("nv_inference_*", "nv_cache_*", "nv_gpu_*", "nv_energy_*", "nv_cpu_*", "nv_trt_llm_*", "nv_llm_*", "nv_model_*"),
    settings={
        **{f"gpu_{what}": _GPU_METRICS for what in ("busy_ratio", "power_watts", "power_limit_watts", "energy_watts")},
        **{
            f"host_{what}": "--allow-cpu-metrics=true"
            for what in ("cpu_busy_ratio", "memory_used_bytes", "memory_total_bytes")
        },
        "latency_bucket_increments": "Triton has no histogram of request times; its proxy or its clients may have one",
        "replicas": "no metric says how many instances a model has; its instance_group does",
    },
)
