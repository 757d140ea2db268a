"""Quantities → canonical signals: a table of formulas, and what each makes of a tally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from collectors.measures import Labels
from collectors.tally import Tally, Told
from recwatch.core.canonical import SIGNALS

By = dict[Labels, float]
"""A figure for each model, GPU or whatever the labels tell apart."""


@dataclass(frozen=True, slots=True)
class Level:
    """How things stand: over targets, models or cores the sum, the mean or the most of it."""

    quantity: str
    over: Literal["sum", "mean", "most"]

    def of(self, tally: Tally) -> By:
        found = tally.levels(self.quantity)
        match self.over:
            case "sum":
                return {labels: sum(_values(told)) for labels, told in found.items()}
            case "mean":
                return {labels: sum(_values(told)) / len(told) for labels, told in found.items()}
            case "most":
                return {labels: max(_values(told)) for labels, told in found.items()}


@dataclass(frozen=True, slots=True)
class Rate:
    """Growth a second, summed over the targets."""

    quantity: str

    def of(self, tally: Tally) -> By:
        return {labels: sum(_values(told)) for labels, told in tally.rates(self.quantity).items()}


@dataclass(frozen=True, slots=True)
class ShareOfTime:
    """Growth of a duration a second, 0..1 for each target, averaged."""

    seconds: str

    def of(self, tally: Tally) -> By:
        found = tally.rates(self.seconds)
        return {labels: sum(min(1.0, rate) for rate in _values(told)) / len(told) for labels, told in found.items()}


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Growth of busy time a second over the number of those that can be busy; 0..1."""

    busy_seconds: str
    workers: str

    def of(self, tally: Tally) -> By:
        shares = {}
        for labels, busy in tally.rates(self.busy_seconds).items():
            known = {target for target, _ in busy}
            workers = sum(value for target, value in tally.levels(self.workers).get(labels, ()) if target in known)
            if workers > 0:
                shares[labels] = min(1.0, sum(_values(busy)) / workers)
        return shares


@dataclass(frozen=True, slots=True)
class Mean:
    """Growth of a sum over growth of a count; undefined where nothing happened."""

    of_histogram: str

    def of(self, tally: Tally) -> By:
        sums, counts = tally.growth(f"{self.of_histogram}_sum"), tally.growth(f"{self.of_histogram}_count")
        return {labels: sums[labels] / count for labels, count in counts.items() if count > 0 and labels in sums}


@dataclass(frozen=True, slots=True)
class Share:
    """Growth of a part over growth of the whole; undefined where the whole did not grow, or the part is not counted."""

    part: str
    wholes: tuple[str, ...]

    def of(self, tally: Tally) -> By:
        parts, wholes = tally.growth(self.part), [tally.growth(whole) for whole in self.wholes]
        sums = {labels: sum(whole.get(labels, 0.0) for whole in wholes) for labels in parts}
        return {labels: parts[labels] / whole for labels, whole in sums.items() if whole > 0}


@dataclass(frozen=True, slots=True)
class ShareOfLevel:
    """A part now over the whole now, each summed over the targets."""

    part: str
    whole: str

    def of(self, tally: Tally) -> By:
        wholes = {labels: sum(_values(told)) for labels, told in tally.levels(self.whole).items()}
        parts = tally.levels(self.part).items()
        return {labels: sum(_values(told)) / wholes[labels] for labels, told in parts if wholes.get(labels, 0.0) > 0}


@dataclass(frozen=True, slots=True)
class Summary:
    """The quantile `q` that a server worked out itself; of one instance only, since such quantiles cannot be merged."""

    of_summary: str
    q: float

    def of(self, tally: Tally) -> By:
        wanted = ("quantile", repr(self.q))
        found = {labels: told for labels, told in tally.levels(f"{self.of_summary}_quantile").items() if wanted in labels}
        return {_without(labels, wanted): told[0][1] for labels, told in found.items() if len(told) == 1}


def _values(told: Told) -> list[float]:
    return [value for _, value in told]


def _without(labels: Labels, pair: tuple[str, str]) -> Labels:
    return tuple(one for one in labels if one != pair)


Formula = Level | Rate | ShareOfTime | Utilisation | Mean | Share | ShareOfLevel | Summary


@dataclass(frozen=True, slots=True)
class Quantile:
    """The quantile `q` of a histogram's bucket increments over the window, summed over instances first."""

    histogram: str
    q: float


QUANTILES: Mapping[str, Quantile] = {
    "latency_p50_seconds": Quantile("latency_seconds", 0.5),
    "latency_p95_seconds": Quantile("latency_seconds", 0.95),
    "latency_p99_seconds": Quantile("latency_seconds", 0.99),
    "first_token_p99_seconds": Quantile("first_token_seconds", 0.99),
    "output_token_p99_seconds": Quantile("output_token_seconds", 0.99),
    "stage_latency_p99_seconds": Quantile("stage_seconds", 0.99),
    "iteration_tokens_p99": Quantile("iteration_tokens", 0.99),
}

_SUMMED = (
    "queue_depth",
    "requests_running",
    "replicas",
    "cache_memory_bytes",
    "process_memory_bytes",
    "host_memory_total_bytes",
    "host_memory_available_bytes",
    "host_memory_free_bytes",
    "host_memory_used_bytes",
)
_MOST = ("gpu_xid_code", "gpu_row_remap_failed", "host_load1", "host_boot_time_seconds")
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
    "kv_cache_used_ratio": (Level("kv_cache_used_ratio", "mean"), ShareOfLevel("kv_cache_used_blocks", "kv_cache_blocks")),
    "replicas_busy_ratio": (Utilisation("replica_busy_seconds", "replicas"),),
    "cache_hit_ratio": (Share("cache_hits", ("cache_hits", "cache_misses")), Level("cache_hit_ratio", "mean")),
    "cache_evictions_per_second": (Rate("cache_evictions"),),
    "process_cpu_cores": (Rate("process_cpu_seconds"),),
    "prefix_cache_hit_ratio": (
        Share("prefix_cache_hits", ("prefix_cache_queries",)),
        Level("prefix_cache_hit_ratio", "mean"),
    ),
    "gpu_throttled_ratio": (ShareOfTime("gpu_throttled_seconds"),),
    "gpu_energy_watts": (Rate("gpu_energy_joules"),),
    **{
        f"gpu_{path}_bytes_per_second": (Rate(f"gpu_{path}_bytes"), Level(f"gpu_{path}_rate", "mean"))
        for path in ("pcie_tx", "pcie_rx")
    },
    **{f"gpu_{path}_bytes_per_second": (Rate(f"gpu_{path}_bytes"),) for path in ("link_tx", "link_rx")},
    "gpu_ecc_uncorrected_per_second": (Rate("gpu_ecc_uncorrected"),),
    "host_cpu_busy_ratio": (Share("host_cpu_busy_seconds", ("host_cpu_seconds",)), Level("host_cpu_busy_ratio", "mean")),
    **{
        f"host_{path}_bytes_per_second": (Rate(f"host_{path}_bytes"),)
        for path in ("network_received", "network_transmitted", "disk_read", "disk_written")
    },
    **{name: (Level(name, "sum"),) for name in _SUMMED},
    **{name: (Level(name, "most"),) for name in _MOST},
}
_ELSEWHERE = ("errors_ratio", "latency_bucket_increments", "queue_wait_mean_seconds", "targets_up_ratio")
FORMULAS: Mapping[str, tuple[Formula, ...]] = {
    name: _MADE.get(name, (Level(name, "mean"),)) for name in SIGNALS if name not in _ELSEWHERE
}
"""What each signal is made of; of several formulas the first that gives a figure counts. Shares of errors, quantiles of
buckets and the buckets themselves are the fleet's own, since they look back over a window."""
