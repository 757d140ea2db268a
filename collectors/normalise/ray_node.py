"""What Ray tells of the machine that a node of it runs on. Its counters are typed gauge.

GPU memory is in MiB, whatever HELP says: Ray's own dashboards multiply it by 1024 · 1024.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import ANY, MIB, MILLI, PERCENT, Table, rule

_NODE: Any = {"labels": {"host": "ip"}}
# Without an index (before 2.4) a row is the sum over all GPUs of the node.
_GPU: Any = {"labels": {"gpu": "GpuIndex", "host": "ip"}, "where": {"GpuIndex": ANY}}

RAY_NODE = Table(
    (
        rule("ray_node_cpu_utilization", "host_cpu_busy_ratio", PERCENT, **_NODE),
        rule("ray_node_mem_total", "host_memory_total_bytes", **_NODE),
        rule("ray_node_mem_available", "host_memory_available_bytes", **_NODE),
        rule("ray_node_mem_used", "host_memory_used_bytes", **_NODE),
        rule("ray_node_network_received", "host_network_received_bytes", **_NODE),
        rule("ray_node_network_sent", "host_network_transmitted_bytes", **_NODE),
        rule("ray_node_disk_io_read", "host_disk_read_bytes", **_NODE),
        rule("ray_node_disk_io_write", "host_disk_written_bytes", **_NODE),
        rule("ray_node_gpus_utilization", "gpu_busy_ratio", PERCENT, **_GPU),
        rule("ray_node_gram_used", "gpu_memory_used_bytes", MIB, **_GPU),
        rule("ray_node_gram_available", "gpu_memory_free_bytes", MIB, **_GPU),
        rule("ray_node_gpu_power_milliwatts", "gpu_power_watts", MILLI, **_GPU),
        rule("ray_node_gpu_temperature_celsius", "gpu_temperature_celsius", **_GPU),
    ),
    marks=("ray_node_*",),
    settings={
        "host_filesystem_available_bytes": "Ray adds up / and its temporary folder, which are most often one file system"
    },
)
