"""Prometheus's node exporter, under its names since 0.16 and those before."""

from __future__ import annotations

from collectors.devices import LAYERED_DISK, LOCAL_FILESYSTEM, VIRTUAL_NETWORK
from collectors.normalise.rules import Rule, Table, rule

_BUSY_MODES = ("user", "nice", "system", "irq", "softirq", "steal", "iowait", "interrupt")
"""All but idle. Time of guests is part of `user` and `nice` already."""
_CPU = ("node_cpu_seconds", "node_cpu")


def _cpu(quantity: str, modes: tuple[str, ...]) -> Rule:
    return rule(_CPU, quantity, labels={"cpu": "cpu", "mode": "mode"}, where={"mode": modes})


def _memory(what: str, quantity: str) -> Rule:
    return rule((f"node_memory_{what}_bytes", f"node_memory_{what}"), quantity)


def _traffic(names: tuple[str, ...], quantity: str, excluding: str) -> Rule:
    return rule(names, quantity, labels={"device": "device"}, excluding={"device": excluding})


NODE_EXPORTER = Table(
    (
        _cpu("host_cpu_seconds", (*_BUSY_MODES, "idle")),
        _cpu("host_cpu_busy_seconds", _BUSY_MODES),
        _memory("MemTotal", "host_memory_total_bytes"),
        _memory("MemAvailable", "host_memory_available_bytes"),
        _memory("MemFree", "host_memory_free_bytes"),
        # BSD and macOS
        rule(("node_memory_total_bytes", "node_memory_size_bytes"), "host_memory_total_bytes"),
        rule("node_memory_free_bytes", "host_memory_free_bytes"),
        _traffic(("node_network_receive_bytes",), "host_network_received_bytes", VIRTUAL_NETWORK),
        _traffic(("node_network_transmit_bytes",), "host_network_transmitted_bytes", VIRTUAL_NETWORK),
        _traffic(("node_disk_read_bytes", "node_disk_bytes_read"), "host_disk_read_bytes", LAYERED_DISK),
        _traffic(("node_disk_written_bytes", "node_disk_bytes_written"), "host_disk_written_bytes", LAYERED_DISK),
        # A file system that is mounted in several places has a row for each of them.
        rule(
            ("node_filesystem_avail_bytes", "node_filesystem_avail"),
            "host_filesystem_available_bytes",
            labels={"mountpoint": "mountpoint"},
            where={"fstype": LOCAL_FILESYSTEM},
            alias="mountpoint",
        ),
        rule("node_load1", "host_load1"),
        rule(("node_boot_time_seconds", "node_boot_time"), "host_boot_time_seconds"),
    ),
    marks=(
        "node_exporter_build_info",
        "node_scrape_collector_success",
        "node_cpu_seconds_total",
        "node_cpu",
        "node_load1",
        "node_boot_time_seconds",
        "node_boot_time",
        "node_memory_MemTotal_bytes",
        "node_memory_MemTotal",
        "node_network_receive_bytes_total",
        "node_disk_read_bytes_total",
    ),
)
