"""The quantities that servers tell, whatever they call them: a table, in base units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Counts = Literal["level", "process", "hardware"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something a server can tell, in the base unit `unit`.

    A `level` is how it stands now. Of a counter only the growth means something: one of the `process` starts at 0 with it,
    one of the `hardware` outlives the process that reports it. Quantities of one `family` make sense only together, told by
    one and the same server.
    """

    name: str
    unit: str
    counts: Counts
    help: str
    family: str = ""


def _levels(unit: str, **helps: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(name, unit, "level", text) for name, text in helps.items())


def _counters(unit: str, counts: Counts = "process", **helps: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(name, unit, counts, text) for name, text in helps.items())


def _histogram(name: str, unit: str, of: str) -> tuple[Quantity, ...]:
    """A histogram, or as much of one as a server has: mean from sum and count, quantiles from buckets with a label `le`."""
    return (
        Quantity(f"{name}_sum", unit, "process", f"Sum of {of}.", name),
        Quantity(f"{name}_count", "", "process", f"Count of {of}.", name),
        Quantity(f"{name}_bucket", "", "process", f"Count of {of} of at most `le`.", name),
        Quantity(f"{name}_quantile", unit, "level", f"A `quantile` of {of} that one instance worked out itself.", name),
    )


def _outcomes(**helps: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(name, "", "process", text, "outcomes") for name, text in helps.items())


_ALL = (
    *_outcomes(
        requests="Requests answered or refused, failures among them.",
        requests_failed="Requests that failed or were refused, but for those that were the caller's mistake.",
        client_errors="Requests refused as the caller's mistake.",
        other_calls="Calls beside the requests, such as for health, where failures are counted among calls of all kinds.",
    ),
    *_counters(
        "",
        prompt_tokens="Tokens of the prompts.",
        generated_tokens="Tokens generated.",
        cache_hits="Look-ups that the result cache answered.",
        cache_misses="Look-ups that it did not.",
        prefix_cache_hits="Tokens or blocks found in the prefix cache.",
        prefix_cache_queries="Tokens or blocks looked up in the prefix cache.",
        cache_evictions="Entries that the cache dropped to make room.",
        preemptions="Requests set back to make room for others.",
    ),
    *_histogram("latency_seconds", "seconds", "times from arrival to answer"),
    *_histogram("stage_seconds", "seconds", "times in one `stage` of serving"),
    *_histogram("first_token_seconds", "seconds", "times from arrival to the first token or first part of the answer"),
    *_histogram("output_token_seconds", "seconds", "times between two tokens of an answer"),
    *_histogram("batch_size", "requests", "batch sizes"),
    *_histogram("iteration_tokens", "tokens", "tokens worked on in one step of the engine"),
    *_histogram("batch_seconds", "seconds", "times the model took for a batch"),
    *_counters("seconds", replica_busy_seconds="Time that replicas spent on batches."),
    *_levels("requests", queue_depth="Requests waiting now.", requests_running="Requests being worked on now."),
    *_levels("replicas", replicas="Model replicas ready to work."),
    *_levels("blocks", kv_cache_blocks="Blocks of the key-value cache.", kv_cache_used_blocks="Those of them in use."),
    *_levels(
        "bytes", cache_memory_bytes="Memory that the cache uses.", process_memory_bytes="Memory that the process uses."
    ),
    *_counters("seconds", process_cpu_seconds="Time of the cores that the process used."),
    *_levels(
        "seconds", last_prediction_seconds="Time of the latest prediction.", process_start_seconds="Unix time of the start."
    ),
    *_levels(
        "ratio",
        answer_quality_ratio="Quality of a shadow sample of answers, 1 is best.",
        cache_hit_ratio="Share of look-ups that the result cache answered.",
        prefix_cache_hit_ratio="Share found in the prefix cache.",
        kv_cache_used_ratio="Share of the key-value cache in use.",
        model_info="1 for the model that answers, named by its labels.",
    ),
    *_levels(
        "ratio",
        gpu_busy_ratio="Share of time with work on the GPU.",
        gpu_engine_active_ratio="Share of time with the graphics or compute engine active.",
        gpu_sm_active_ratio="Share of time with a warp on a multiprocessor, averaged over them.",
        gpu_tensor_active_ratio="Share of time with the tensor cores active.",
        gpu_dram_active_ratio="Share of time with the memory interface active.",
        gpu_memory_used_ratio="Share of the GPU's memory in use.",
        gpu_memory_busy_ratio="Share of time with the memory controller active.",
        gpu_throttled="1 while clocks are held down.",
    ),
    *_levels(
        "bytes",
        gpu_memory_used_bytes="GPU memory in use.",
        gpu_memory_free_bytes="GPU memory free.",
        gpu_memory_reserved_bytes="GPU memory that the driver keeps.",
        gpu_memory_total_bytes="GPU memory in all.",
        gpu_memory_top_process_bytes="GPU memory of the process that uses most.",
    ),
    *_levels(
        "hertz",
        gpu_sm_clock_hertz="Clock of the multiprocessors.",
        gpu_sm_clock_max_hertz="The highest clock that the multiprocessors may have.",
        gpu_memory_clock_hertz="Clock of the memory.",
    ),
    *_levels(
        "watts",
        gpu_power_watts="Power drawn.",
        gpu_average_power_watts="Power drawn, averaged by the GPU.",
        gpu_power_limit_watts="Power that may be drawn.",
    ),
    *_levels(
        "celsius",
        gpu_temperature_celsius="Temperature of the GPU.",
        gpu_edge_temperature_celsius="Temperature at the edge of its die.",
        gpu_memory_temperature_celsius="Temperature of its memory.",
    ),
    *_levels(
        "bytes/s",
        gpu_pcie_tx_rate="Sent over PCIe.",
        gpu_pcie_rx_rate="Received over PCIe.",
        gpu_link_tx_rate="Sent to other GPUs.",
        gpu_link_rx_rate="Received from other GPUs.",
    ),
    *_levels(
        "",
        gpu_xid_code="The driver's last error (XID), 0 for none.",
        gpu_xid_errors="Errors of the driver in the last minutes, by `xid`.",
        gpu_ecc_uncorrected_errors="Memory errors so far that could not be corrected.",
        gpu_rows_remapped="Memory rows replaced so far for errors that could not be corrected.",
        gpu_row_remap_failed="1 if a memory row cannot be replaced.",
    ),
    *_counters("joules", "hardware", gpu_energy_joules="Energy used."),
    *_counters("seconds", "hardware", gpu_throttled_seconds="Time with clocks held down."),
    *_counters(
        "bytes",
        "hardware",
        gpu_pcie_tx_bytes="Sent over PCIe.",
        gpu_pcie_rx_bytes="Received over PCIe.",
        gpu_link_tx_bytes="Sent to other GPUs.",
        gpu_link_rx_bytes="Received from other GPUs.",
    ),
    *_counters(
        "seconds", "hardware", host_cpu_seconds="Time of the cores.", host_cpu_busy_seconds="Time they were not idle."
    ),
    *_levels("ratio", host_cpu_busy_ratio="Share of the cores' time not idle."),
    *_levels(
        "bytes",
        host_memory_total_bytes="Memory of the host.",
        host_memory_available_bytes="Memory that can be had without swapping.",
        host_memory_free_bytes="Memory that nothing uses.",
        host_memory_used_bytes="Memory in use.",
        host_filesystem_available_bytes="Space left to users on a local file system.",
    ),
    *_levels("", host_load1="Mean length of the run queue over a minute."),
    *_levels("seconds", host_boot_time_seconds="Unix time of the host's start."),
    *_counters(
        "bytes",
        "hardware",
        host_network_received_bytes="Received from the network.",
        host_network_transmitted_bytes="Sent to the network.",
        host_disk_read_bytes="Read from disks.",
        host_disk_written_bytes="Written to disks.",
    ),
)
QUANTITIES: Mapping[str, Quantity] = {quantity.name: quantity for quantity in _ALL}
