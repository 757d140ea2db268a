"""Quantities → canonical signals: a table of formulas, and what each makes of a tally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import add, sub
from typing import Literal

from collectors.measures import Labels
from collectors.tally import Tally, Told
from recwatch.core.canonical import SIGNALS

By = dict[Labels, float]
"""A figure for each model, GPU or whatever the labels tell apart."""


@dataclass(frozen=True, slots=True)
class Level:
    """How things stand: over targets, models or cores the sum, the mean or the most of it.

    "each" is the mean over targets of what each tells in all: two that watch one GPU do not double what its links carry.
    """

    quantity: str
    over: Literal["sum", "mean", "most", "each"]

    def of(self, tally: Tally) -> By:
        found = tally.levels(self.quantity)
        match self.over:
            case "sum":
                return {labels: sum(_values(told)) for labels, told in found.items()}
            case "mean":
                return {labels: sum(_values(told)) / len(told) for labels, told in found.items()}
            case "most":
                return {labels: max(_values(told)) for labels, told in found.items()}
            case "each":
                return {labels: _each(told) for labels, told in found.items()}


@dataclass(frozen=True, slots=True)
class Rate:
    """Growth a second, summed over the targets; or of each target the sum, and of these the mean."""

    quantity: str
    over: Literal["sum", "each"] = "sum"

    def of(self, tally: Tally) -> By:
        put_together = _each if self.over == "each" else _sum
        return {labels: put_together(told) for labels, told in tally.rates(self.quantity).items()}


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


@dataclass(frozen=True, slots=True)
class Code:
    """The highest of the codes in `label` that were counted at all; 0 where there were none."""

    counts: str
    label: str

    def of(self, tally: Tally) -> By:
        highest: By = {}
        for labels, told in tally.levels(self.counts).items():
            code = dict(labels).get(self.label, "")
            rest = tuple(pair for pair in labels if pair[0] != self.label)
            counted = float(code) if code.isdigit() and _sum(told) > 0 else 0.0
            highest[rest] = max(highest.get(rest, 0.0), counted)
        return highest


_PROFILED = ("gpu_engine_active_ratio", "gpu_sm_active_ratio")
_PLAINLY_BUSY = 0.05


@dataclass(frozen=True, slots=True)
class Profiled:
    """What a GPU's profiling tells. Where all of it stands at 0 while the GPU is busy, it is off, and tells nothing."""

    quantity: str

    def of(self, tally: Tally) -> By:
        busy = Level("gpu_busy_ratio", "mean").of(tally)
        found = [(labels, told) for name in _PROFILED for labels, told in tally.levels(name).items()]
        off = {labels for labels, _ in found} - {labels for labels, told in found if _sum(told) > 0}
        told = Level(self.quantity, "mean").of(tally)
        return {
            labels: value for labels, value in told.items() if labels not in off or busy.get(labels, 0.0) < _PLAINLY_BUSY
        }


@dataclass(frozen=True, slots=True)
class Made:
    """What `how` makes of the figures of several formulas, where all of them have one."""

    how: Callable[..., float | None]
    parts: tuple[Level, ...]

    def of(self, tally: Tally) -> By:
        first, *others = (part.of(tally) for part in self.parts)
        known = [labels for labels in first if all(labels in figures for figures in others)]
        made = {labels: self.how(first[labels], *(figures[labels] for figures in others)) for labels in known}
        return {labels: value for labels, value in made.items() if value is not None}


def _share(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None


def _values(told: Told) -> list[float]:
    return [value for _, value in told]


def _sum(told: Told) -> float:
    return sum(_values(told))


def _each(told: Told) -> float:
    return _sum(told) / len({target for target, _ in told})


def _without(labels: Labels, pair: tuple[str, str]) -> Labels:
    return tuple(one for one in labels if one != pair)


Formula = Level | Rate | ShareOfTime | Utilisation | Mean | Share | ShareOfLevel | Summary | Code | Profiled | Made


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
    "kv_cache_used_ratio": (Level("kv_cache_used_ratio", "mean"), ShareOfLevel("kv_cache_used_blocks", "kv_cache_blocks")),
    "replicas_busy_ratio": (Utilisation("replica_busy_seconds", "replicas"),),
    "cache_hit_ratio": (Share("cache_hits", ("cache_hits", "cache_misses")), Level("cache_hit_ratio", "mean")),
    "cache_evictions_per_second": (Rate("cache_evictions"),),
    "process_cpu_cores": (Rate("process_cpu_seconds"),),
    "prefix_cache_hit_ratio": (
        Share("prefix_cache_hits", ("prefix_cache_queries",)),
        Level("prefix_cache_hit_ratio", "mean"),
    ),
    **{name: (Profiled(name),) for name in (*_PROFILED, "gpu_tensor_active_ratio")},
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
    **{name: (Level(name, "sum"),) for name in _SUMMED},
    **{name: (Level(name, "most"),) for name in _MOST},
}
_ELSEWHERE = ("errors_ratio", "latency_bucket_increments", "queue_wait_mean_seconds", "targets_up_ratio")
FORMULAS: Mapping[str, tuple[Formula, ...]] = {
    name: _MADE.get(name, (Level(name, "mean"),)) for name in SIGNALS if name not in _ELSEWHERE
}
"""What each signal is made of; of several formulas the first that gives a figure counts. Shares of errors, quantiles of
buckets and the buckets themselves are the fleet's own, since they look back over a window."""
