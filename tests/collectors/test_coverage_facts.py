"""Every figure that was read by eye off a recorded page is in its coverage report, under the server's own labels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.collectors.reports import DUMPS, content

ENTRIES = [json.loads(row) for row in (DUMPS / "index.jsonl").read_text().splitlines()] if DUMPS.is_dir() else []
FACTS = [(entry["file"], fact) for entry in ENTRIES for fact in entry["facts"]]

Labels = Mapping[str, str]
OURS: Mapping[str, tuple[str, Labels]] = {
    "cpu.busy": ("host_cpu_busy_ratio", {}),
    "disk.read_total": ("host_disk_read_bytes_total", {}),
    "gpu.busy": ("gpu_busy_ratio", {}),
    "gpu.dram_active": ("gpu_dram_active_ratio", {}),
    "gpu.energy_total": ("gpu_energy_joules_total", {}),
    "gpu.engine_active": ("gpu_engine_active_ratio", {}),
    "gpu.link_rx_total": ("gpu_link_rx_bytes_total", {}),
    "gpu.link_tx_total": ("gpu_link_tx_bytes_total", {}),
    "gpu.memory_clock": ("gpu_memory_clock_hertz", {}),
    "gpu.memory_free": ("gpu_memory_free_bytes", {}),
    "gpu.memory_reserved": ("gpu_memory_reserved_bytes", {}),
    "gpu.memory_used": ("gpu_memory_used_bytes", {}),
    "gpu.memory_used_ratio": ("gpu_memory_used_ratio", {}),
    "gpu.pcie_tx_rate": ("gpu_pcie_tx_bytes_per_second", {}),
    "gpu.pcie_tx_total": ("gpu_pcie_tx_bytes_total", {}),
    "gpu.power": ("gpu_power_watts", {}),
    "gpu.power_limit": ("gpu_power_limit_watts", {}),
    "gpu.sm_clock": ("gpu_sm_clock_hertz", {}),
    "gpu.temperature": ("gpu_temperature_celsius", {}),
    "gpu.temperature_memory": ("gpu_memory_temperature_celsius", {}),
    "memory.free": ("host_memory_free_bytes", {}),
    "memory.total": ("host_memory_total_bytes", {}),
    "memory.used": ("host_memory_used_bytes", {}),
    "net.received_total": ("host_network_received_bytes_total", {}),
    "server.errors_total": ("errors_total", {}),
    "server.generated_tokens_total": ("generated_tokens_total", {}),
    "server.kv_cache_used_ratio": ("kv_cache_used_ratio", {}),
    "server.last_prediction_time": ("last_prediction_seconds", {}),
    "server.mean_batch": ("batch_size_mean", {}),
    "server.mean_compute": ("stage_latency_mean_seconds", {"stage": "compute_infer"}),
    "server.mean_first_response": ("first_token_mean_seconds", {}),
    "server.mean_latency": ("latency_mean_seconds", {}),
    "server.mean_queue": ("queue_wait_mean_seconds", {}),
    "server.mean_time_per_output_token": ("output_token_mean_seconds", {}),
    "server.p99_first_response": ("first_token_p99_seconds", {}),
    "server.p99_latency": ("latency_p99_seconds", {}),
    "server.p99_queue": ("queue_wait_p99_seconds", {}),
    "server.p99_time_to_first_token": ("first_token_p99_seconds", {}),
    "server.p99_tokens_per_iteration": ("iteration_tokens_p99", {}),
    "server.prefix_cache_hit_ratio": ("prefix_cache_hit_ratio", {}),
    "server.prompt_tokens_total": ("prompt_tokens_total", {}),
    "server.queue_depth": ("queue_depth", {}),
    "server.requests_total": ("requests_total", {}),
    "system.boot_time": ("host_boot_time_seconds", {}),
    "system.load1": ("host_load1", {}),
}
"""The signals of the index in our words, and the labels of ours that it means."""


def told(file: str, fact: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the report about the fact's signal whose sources all carry the labels of its hint."""
    ours, labels = OURS[fact["signal"]]
    signals = content(DUMPS / file)["signals"]
    rows = [row for row in signals if row["signal"] == ours and labels.items() <= row["labels"].items()]
    return [row for row in rows if all(is_about(row, source["labels"], fact["series_hint"]) for source in row["sources"])]


def is_about(row: Mapping[str, Any], source: Labels, hint: Mapping[str, str | None]) -> bool:
    """Whether the source, or else the row itself in our words, carries the labels; None means that it must not."""
    return all({**row["labels"], **source}.get(label) == value for label, value in hint.items())


def widest(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The values of the rows made of most: that is how a hint is read that names few labels."""
    most = max((len(row["sources"]) for row in rows), default=0)
    return [row["value"] for row in rows if len(row["sources"]) == most]


@pytest.mark.skipif(not DUMPS.is_dir(), reason="RECWATCH_DATA names no folder with dumps/*.txt")
@pytest.mark.parametrize(
    ("file", "fact"), FACTS, ids=[f"{file}-{fact['signal']}-{n}" for n, (file, fact) in enumerate(FACTS)]
)
def test_every_figure_that_was_read_by_eye_is_in_the_report(file: str, fact: Mapping[str, Any]) -> None:
    rows = told(file, fact)
    if fact.get("must_be_absent"):
        assert rows == []
        return
    accepted = [fact["expected"]]
    if "KB" in fact.get("note", ""):
        accepted.append(fact["expected"] * 1.024)  # a kilobyte of 1000 or of 1024 bytes: the source does not say
    assert any(
        math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-12) for value in widest(rows) for expected in accepted
    ), rows
