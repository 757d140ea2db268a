"""The canonical signals: what recwatch knows of a service whatever server it runs on, in base units.

Detectors, alerting, tuning and dashboards know these names only. A server's own spelling ends in `collectors/normalise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from recwatch.core.errors import BadInput
from recwatch.core.signals import Series

Group = Literal["traffic", "errors", "latency", "saturation", "cache", "quality", "gpu", "host", "telemetry"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One canonical signal. `labels` are those it may carry beside `service`; `user_facing` signals can page."""

    name: str
    unit: str
    group: Group
    help: str
    labels: tuple[str, ...] = ()
    user_facing: bool = False


_MODEL = ("model",)
_GPU = ("gpu", "host", "mig", "emulated")
_HOST = ("host",)


def _of_gpus(unit: str, **helps: str) -> tuple[Signal, ...]:
    return tuple(Signal(name, unit, "gpu", text, _GPU) for name, text in helps.items())


def _of_hosts(unit: str, **helps: str) -> tuple[Signal, ...]:
    return tuple(Signal(name, unit, "host", text, _HOST) for name, text in helps.items())


def _felt(group: Group, unit: str, labels: tuple[str, ...], **helps: str) -> tuple[Signal, ...]:
    return tuple(Signal(name, unit, group, text, labels, user_facing=True) for name, text in helps.items())


_ALL = (
    Signal("requests_per_second", "requests/s", "traffic", "Answered requests, errors among them.", _MODEL),
    Signal("prompt_tokens_per_second", "tokens/s", "traffic", "Tokens of prompts taken in.", _MODEL),
    Signal("generated_tokens_per_second", "tokens/s", "traffic", "Tokens generated.", _MODEL),
    *_felt("errors", "ratio", _MODEL, errors_ratio="Share of requests that failed or were refused."),
    Signal("client_errors_per_second", "requests/s", "errors", "Requests refused as the caller's mistake.", _MODEL),
    *_felt(
        "latency",
        "seconds",
        _MODEL,
        latency_mean_seconds="Mean over the interval.",
        latency_p50_seconds="Median over the window.",
        latency_p95_seconds="95th percentile over the window.",
        latency_p99_seconds="99th percentile over the window.",
        first_token_mean_seconds="Mean time to the first token or first part of the answer.",
        first_token_p99_seconds="99th percentile of it over the window.",
        output_token_mean_seconds="Mean time between two tokens of an answer.",
        output_token_p99_seconds="99th percentile of it over the window.",
    ),
    Signal("latency_bucket_increments", "requests", "latency", "Requests of the interval at most le seconds slow.", ("le",)),
    Signal("stage_latency_mean_seconds", "seconds", "latency", "Mean time in one stage of serving.", ("stage",)),
    Signal("stage_latency_p99_seconds", "seconds", "latency", "99th percentile of it over the window.", ("stage",)),
    Signal("queue_depth", "requests", "saturation", "Requests waiting now.", _MODEL),
    Signal("requests_running", "requests", "saturation", "Requests being worked on now.", _MODEL),
    Signal("queue_wait_mean_seconds", "seconds", "saturation", "Mean time spent waiting for a batch."),
    Signal("batch_size_mean", "requests", "saturation", "Mean requests a batch.", _MODEL),
    Signal("iteration_tokens_mean", "tokens", "saturation", "Mean tokens that one step of the engine works on.", _MODEL),
    Signal("iteration_tokens_p99", "tokens", "saturation", "99th percentile of it over the window.", _MODEL),
    Signal("preemptions_per_second", "requests/s", "saturation", "Requests set back to make room for others.", _MODEL),
    Signal("batch_duration_mean_seconds", "seconds", "saturation", "Mean time the model takes for a batch.", _MODEL),
    Signal("replicas", "replicas", "saturation", "Model replicas ready to work."),
    Signal("replicas_busy_ratio", "ratio", "saturation", "Share of the replicas' time spent on batches."),
    Signal("kv_cache_used_ratio", "ratio", "saturation", "Share of the key-value cache in use.", _MODEL),
    Signal("last_prediction_seconds", "seconds", "latency", "Time of the latest prediction.", _MODEL),
    Signal("cache_hit_ratio", "ratio", "cache", "Share of look-ups that the result cache answered.", _MODEL),
    Signal("cache_memory_bytes", "bytes", "cache", "Memory that the result cache uses."),
    Signal("cache_evictions_per_second", "entries/s", "cache", "Entries that it dropped to make room."),
    Signal("prefix_cache_hit_ratio", "ratio", "cache", "Share of tokens or blocks found in the prefix cache.", _MODEL),
    *_felt("quality", "ratio", (), answer_quality_ratio="Quality of a shadow sample of answers, 1 is best."),
    *_of_gpus(
        "ratio",
        gpu_busy_ratio="Share of time with work on the GPU.",
        gpu_engine_active_ratio="Share of time with the graphics or compute engine active.",
        gpu_sm_active_ratio="Share of time with a warp on a multiprocessor, averaged over them.",
        gpu_tensor_active_ratio="Share of time with the tensor cores active.",
        gpu_dram_active_ratio="Share of time with the memory interface active.",
        gpu_memory_used_ratio="Share of the GPU's memory in use.",
        gpu_throttled_ratio="Share of time with clocks held down.",
    ),
    *_of_gpus(
        "bytes",
        gpu_memory_used_bytes="GPU memory in use.",
        gpu_memory_free_bytes="GPU memory free.",
        gpu_memory_reserved_bytes="GPU memory that the driver keeps.",
        gpu_memory_total_bytes="GPU memory in all.",
        gpu_memory_top_process_bytes="GPU memory of the process that uses most.",
    ),
    *_of_gpus(
        "hertz",
        gpu_sm_clock_hertz="Clock of the streaming multiprocessors.",
        gpu_sm_clock_max_hertz="The highest clock that they may have.",
        gpu_memory_clock_hertz="Clock of the GPU's memory.",
    ),
    *_of_gpus(
        "watts",
        gpu_power_watts="Power drawn.",
        gpu_power_limit_watts="Power that may be drawn.",
        gpu_energy_watts="Mean power over the interval, from the energy counter.",
    ),
    *_of_gpus(
        "celsius",
        gpu_temperature_celsius="Temperature of the GPU.",
        gpu_memory_temperature_celsius="Temperature of the GPU's memory.",
    ),
    *_of_gpus(
        "bytes/s",
        gpu_pcie_tx_bytes_per_second="Sent over PCIe.",
        gpu_pcie_rx_bytes_per_second="Received over PCIe.",
        gpu_link_tx_bytes_per_second="Sent to other GPUs.",
        gpu_link_rx_bytes_per_second="Received from other GPUs.",
    ),
    *_of_gpus(
        "",
        gpu_xid_code="The driver's last error (XID), 0 for none.",
        gpu_ecc_uncorrected_errors="Memory errors so far that could not be corrected.",
        gpu_rows_remapped="Memory rows replaced so far for errors that could not be corrected.",
        gpu_row_remap_failed="1 if a memory row cannot be replaced.",
    ),
    *_of_hosts("ratio", host_cpu_busy_ratio="Share of all cores' time not idle."),
    *_of_hosts(
        "bytes",
        host_memory_available_bytes="Memory that can be had without swapping.",
        host_memory_total_bytes="Memory in all.",
        host_memory_free_bytes="Memory that nothing uses.",
        host_memory_used_bytes="Memory in use.",
    ),
    Signal(
        "host_filesystem_available_bytes",
        "bytes",
        "host",
        "Space left to users on a local file system.",
        (*_HOST, "mountpoint"),
    ),
    *_of_hosts(
        "bytes/s",
        host_network_received_bytes_per_second="Received from the network.",
        host_network_transmitted_bytes_per_second="Sent to the network.",
        host_disk_read_bytes_per_second="Read from disks.",
        host_disk_written_bytes_per_second="Written to disks.",
    ),
    Signal("process_memory_bytes", "bytes", "host", "Memory of the processes that tell these signals."),
    Signal("process_cpu_cores", "cores", "host", "Cores that they keep busy."),
    *_of_hosts("", host_load1="Mean length of the run queue over a minute."),
    *_of_hosts("seconds", host_boot_time_seconds="Unix time of the host's start."),
    Signal("targets_up_ratio", "ratio", "telemetry", "Share of the service's targets that answer scrapes."),
)
SIGNALS: Mapping[str, Signal] = {signal.name: signal for signal in _ALL}

LATENCY_QUANTILES = ("latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds")
"""What is worked out from `latency_bucket_increments`."""

TRAFFIC = ("requests_per_second", "latency_bucket_increments")
"""What is known only while the servers of a service answer; that a target is down, or how its host does, is known beyond."""


def canonical_series(service: str, name: str, labels: Mapping[str, str] | None = None) -> Series:
    """The series of a canonical signal of a service.

    >>> canonical_series("shop", "gpu_power_watts", {"gpu": "0"}).key
    'gpu_power_watts{gpu="0",service="shop"}'
    """
    signal = SIGNALS.get(name)
    if signal is None:
        raise BadInput(f"'{name}' is no canonical signal; they are: {', '.join(SIGNALS)}")
    extra = dict(labels or {})
    unknown = set(extra) - set(signal.labels)
    if unknown:
        raise BadInput(f"{name} carries no label {sorted(unknown)}; it may carry {list(signal.labels)}")
    return Series(name, {**extra, "service": service}, signal.unit, "gauge", service)


DERIVED = (
    "recwatch_expected",
    "recwatch_lower",
    "recwatch_upper",
    "recwatch_score",
    "recwatch_warmup_ratio",
    "recwatch_forecast",
    "recwatch_forecast_lower",
    "recwatch_forecast_upper",
    "recwatch_exhaustion_seconds",
    "recwatch_exhaustion_seconds_lower",
    "recwatch_exhaustion_seconds_upper",
)
_UNITS = {"recwatch_score": "ratio", "recwatch_warmup_ratio": "ratio"}


def derived_series(what: str, of: Series, method: str = "") -> Series:
    """The series under which a judgement of `of` is published; all but the band name their method.

    >>> derived_series("recwatch_upper", canonical_series("shop", "queue_depth")).key
    'recwatch_upper{service="shop",signal="queue_depth"}'
    """
    labels = {**of.labels, "signal": of.name} | ({"method": method} if method else {})
    unit = "seconds" if what.startswith("recwatch_exhaustion_seconds") else _UNITS.get(what, of.unit)
    return Series(what, labels, unit, "gauge", of.service, of.target)
