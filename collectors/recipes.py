"""What each canonical signal is made of: the table of formulas."""

from __future__ import annotations

from collections.abc import Mapping
from operator import add, sub

from collectors.formulas import (
    PROFILED,
    Code,
    Formula,
    Level,
    Made,
    Mean,
    Profiled,
    Quantile,
    Rate,
    Share,
    ShareOfTime,
    Summary,
    Utilisation,
)
from recwatch.core.canonical import SIGNALS

QUANTILES: Mapping[str, Quantile] = {
    "latency_p50_seconds": Quantile("latency_seconds", 0.5),
    "latency_p95_seconds": Quantile("latency_seconds", 0.95),
    "latency_p99_seconds": Quantile("latency_seconds", 0.99),
    "first_token_p99_seconds": Quantile("first_token_seconds", 0.99),
    "output_token_p99_seconds": Quantile("output_token_seconds", 0.99),
    "stage_latency_p99_seconds": Quantile("stage_seconds", 0.99),
    "iteration_tokens_p99": Quantile("iteration_tokens", 0.99),
}


def _share(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None


_SUMMED = (
    "queue_depth",
    "requests_running",
    "replicas",
    "cache_memory_bytes",
    "process_memory_bytes",
    "host_memory_total_bytes",
    "host_memory_available_bytes",
    "host_memory_free_bytes",
)
_MOST = (
    "gpu_memory_top_process_bytes",
    "gpu_ecc_uncorrected_errors",
    "gpu_rows_remapped",
    "gpu_row_remap_failed",
    "host_load1",
    "host_boot_time_seconds",
)
_USED, _FREE, _RESERVED, _TOTAL = (
    Level(f"gpu_memory_{part}_bytes", "mean") for part in ("used", "free", "reserved", "total")
)
_MADE: Mapping[str, tuple[Formula, ...]] = {
    "requests_per_second": (Rate("requests"),),
    "prompt_tokens_per_second": (Rate("prompt_tokens"),),
    "generated_tokens_per_second": (Rate("generated_tokens"),),
    "client_errors_per_second": (Rate("client_errors"),),
    "latency_mean_seconds": (Mean("latency_seconds"),),
    "first_token_mean_seconds": (Mean("first_token_seconds"),),
    "output_token_mean_seconds": (Mean("output_token_seconds"),),
    "stage_latency_mean_seconds": (Mean("stage_seconds"),),
    **{name: (Summary(quantile.histogram, quantile.q),) for name, quantile in QUANTILES.items()},
    "batch_size_mean": (Mean("batch_size"),),
    "batch_duration_mean_seconds": (Mean("batch_seconds"),),
    "iteration_tokens_mean": (Mean("iteration_tokens"),),
    "preemptions_per_second": (Rate("preemptions"),),
    "kv_cache_used_ratio": (
        Level("kv_cache_used_ratio", "mean"),
        Made(_share, (Level("kv_cache_used_blocks", "sum"), Level("kv_cache_blocks", "sum"))),
    ),
    "replicas_busy_ratio": (Utilisation("replica_busy_seconds", "replicas"),),
    "cache_hit_ratio": (Share("cache_hits", ("cache_hits", "cache_misses")), Level("cache_hit_ratio", "mean")),
    "cache_evictions_per_second": (Rate("cache_evictions"),),
    "process_cpu_cores": (Rate("process_cpu_seconds"),),
    "prefix_cache_hit_ratio": (
        Share("prefix_cache_hits", ("prefix_cache_queries",)),
        Level("prefix_cache_hit_ratio", "mean"),
    ),
    **{name: (Profiled(name),) for name in (*PROFILED, "gpu_tensor_active_ratio")},
    "gpu_dram_active_ratio": (Profiled("gpu_dram_active_ratio"), Level("gpu_memory_busy_ratio", "mean")),
    "gpu_power_watts": (Level("gpu_power_watts", "mean"), Level("gpu_average_power_watts", "most")),
    "gpu_temperature_celsius": (Level("gpu_temperature_celsius", "mean"), Level("gpu_edge_temperature_celsius", "mean")),
    "gpu_throttled_ratio": (ShareOfTime("gpu_throttled_seconds"), Level("gpu_throttled", "most")),
    "gpu_memory_total_bytes": (
        _TOTAL,
        Made(lambda used, free, reserved: used + free + reserved, (_USED, _FREE, _RESERVED)),
        Made(add, (_USED, _FREE)),
    ),
    "gpu_memory_used_ratio": (
        Level("gpu_memory_used_ratio", "mean"),
        Made(lambda used, free: _share(used, used + free), (_USED, _FREE)),
        Made(_share, (_USED, _TOTAL)),
    ),
    "gpu_energy_watts": (Rate("gpu_energy_joules", "each"),),
    **{
        f"gpu_{path}_bytes_per_second": (Rate(f"gpu_{path}_bytes", "each"), Level(f"gpu_{path}_rate", "each"))
        for path in ("pcie_tx", "pcie_rx", "link_tx", "link_rx")
    },
    "gpu_xid_code": (Level("gpu_xid_code", "most"), Code("gpu_xid_errors", "xid")),
    "host_memory_used_bytes": (
        Level("host_memory_used_bytes", "sum"),
        Made(sub, (Level("host_memory_total_bytes", "sum"), Level("host_memory_available_bytes", "sum"))),
    ),
    "host_cpu_busy_ratio": (Share("host_cpu_busy_seconds", ("host_cpu_seconds",)), Level("host_cpu_busy_ratio", "mean")),
    **{
        f"host_{path}_bytes_per_second": (Rate(f"host_{path}_bytes"),)
        for path in ("network_received", "network_transmitted", "disk_read", "disk_written")
    },
    "host_filesystem_available_bytes": (Level("host_filesystem_available_bytes", "least"),),
    **{name: (Level(name, "sum"),) for name in _SUMMED},
    **{name: (Level(name, "most"),) for name in _MOST},
}
_ELSEWHERE = ("errors_ratio", "latency_bucket_increments", "queue_wait_mean_seconds", "targets_up_ratio")
FORMULAS: Mapping[str, tuple[Formula, ...]] = {
    name: _MADE.get(name, (Level(name, "mean"),)) for name in SIGNALS if name not in _ELSEWHERE
}
"""What each signal is made of; of several formulas the first that gives a figure counts. Shares of errors, quantiles of
buckets and the buckets themselves are the fleet's own, since they look back over a window."""
