"""Every figure of the recorded pages of GPU exporters, of the node exporter and of Ray's nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.collectors.hardware_pages import known_of
from tests.collectors.test_normalise import DUMPS, needs_pages

KINDS = ("amd", "dcgm", "node_exporter")

OURS = {
    "gpu.busy": "gpu_busy_ratio",
    "gpu.engine_active": "gpu_engine_active_ratio",
    "gpu.dram_active": "gpu_dram_active_ratio",
    "gpu.memory_used": "gpu_memory_used_bytes",
    "gpu.memory_free": "gpu_memory_free_bytes",
    "gpu.memory_reserved": "gpu_memory_reserved_bytes",
    "gpu.memory_used_ratio": "gpu_memory_used_ratio",
    "gpu.sm_clock": "gpu_sm_clock_hertz",
    "gpu.memory_clock": "gpu_memory_clock_hertz",
    "gpu.power": "gpu_power_watts",
    "gpu.power_limit": "gpu_power_limit_watts",
    "gpu.energy_total": "gpu_energy_joules",
    "gpu.temperature": "gpu_temperature_celsius",
    "gpu.temperature_memory": "gpu_memory_temperature_celsius",
    "gpu.pcie_tx_rate": "gpu_pcie_tx_bytes_per_second",
    "gpu.pcie_tx_total": "gpu_pcie_tx_bytes",
    "gpu.link_tx_total": "gpu_link_tx_bytes",
    "gpu.link_rx_total": "gpu_link_rx_bytes",
    "cpu.busy": "host_cpu_busy_ratio",
    "memory.total": "host_memory_total_bytes",
    "memory.free": "host_memory_free_bytes",
    "memory.used": "host_memory_used_bytes",
    "net.received_total": "host_network_received_bytes",
    "disk.read_total": "host_disk_read_bytes",
    "system.boot_time": "host_boot_time_seconds",
    "system.load1": "host_load1",
}
"""What the index calls a figure → our signal; or, of a counter, our quantity, which has grown by so much since its start."""


def facts() -> Iterator[Any]:
    if not DUMPS.is_dir():
        return
    for described in map(json.loads, (DUMPS / "index.jsonl").read_text().splitlines()):
        for number, fact in enumerate(described["facts"]):
            if described["kind"] in KINDS or (described["kind"] == "ray" and not fact["signal"].startswith("server.")):
                yield pytest.param(described["file"], fact, id=f"{described['file']}-{number}-{fact['signal']}")


@needs_pages
@pytest.mark.parametrize(("file", "fact"), list(facts()))
def test_every_figure_of_a_recorded_page_is_met(file: str, fact: Mapping[str, Any]) -> None:
    known = known_of((DUMPS / file).read_text(), fact["series_hint"])
    told = known.get(OURS[fact["signal"]], {})
    if fact.get("must_be_absent"):
        assert told == {}
    else:
        assert list(told.values()) == [pytest.approx(fact["expected"], rel=1e-9)]
