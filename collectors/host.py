"""The machine that recwatch runs on, as measures."""

from __future__ import annotations

import re
from contextlib import suppress

import psutil

from collectors.devices import LAYERED_DISK, LOCAL_FILESYSTEM, VIRTUAL_NETWORK
from collectors.measures import Key

_BUSY = ("user", "nice", "system", "irq", "softirq", "steal", "iowait")
"""All but idle, as the node exporter's users count. Time of guests is part of `user` and `nice` already."""


def host_measures() -> dict[Key, float]:
    """What the host tells now: levels, and counters since its start; network, disks, file systems where there are any."""
    times = psutil.cpu_times()._asdict()
    busy = sum(times.get(mode, 0.0) for mode in _BUSY)
    memory = psutil.virtual_memory()
    told: dict[Key, float] = {
        ("host_cpu_busy_seconds", ()): busy,
        ("host_cpu_seconds", ()): busy + times["idle"],
        ("host_memory_total_bytes", ()): memory.total,
        ("host_memory_available_bytes", ()): memory.available,
        ("host_memory_free_bytes", ()): memory.free,
        ("host_load1", ()): psutil.getloadavg()[0],
        ("host_boot_time_seconds", ()): psutil.boot_time(),
    }
    for device, net in psutil.net_io_counters(pernic=True).items():
        if not re.fullmatch(VIRTUAL_NETWORK, device):
            told["host_network_received_bytes", (("device", device),)] = net.bytes_recv
            told["host_network_transmitted_bytes", (("device", device),)] = net.bytes_sent
    for device, disk in psutil.disk_io_counters(perdisk=True).items():
        if not re.fullmatch(LAYERED_DISK, device):
            told["host_disk_read_bytes", (("device", device),)] = disk.read_bytes
            told["host_disk_written_bytes", (("device", device),)] = disk.write_bytes
    return told | _filesystem_measures()


def _filesystem_measures() -> dict[Key, float]:
    """The space left on each local file system that can be written, under the first place where it is mounted.

    One that is unmounted meanwhile is left out.
    """
    mounted: dict[str, str] = {}
    for one in psutil.disk_partitions(all=False):
        if one.fstype in LOCAL_FILESYSTEM and "ro" not in one.opts.split(","):
            mounted.setdefault(one.device, one.mountpoint)
    told: dict[Key, float] = {}
    for mountpoint in mounted.values():
        with suppress(OSError):
            told["host_filesystem_available_bytes", (("mountpoint", mountpoint),)] = psutil.disk_usage(mountpoint).free
    return told
