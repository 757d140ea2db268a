"""Pages of the node exporter and of Ray's nodes."""

from __future__ import annotations

import pytest

from tests.collectors.hardware_pages import known_of, signals_of


@pytest.mark.parametrize(
    "names",
    [
        (
            "node_cpu_seconds_total",
            "node_memory_MemTotal_bytes",
            "node_network_receive_bytes_total",
            "node_disk_read_bytes_total",
        ),
        ("node_cpu", "node_memory_MemTotal", "node_network_receive_bytes", "node_disk_bytes_read"),
    ],
)
def test_the_node_exporter_before_and_after_its_renaming(names: tuple[str, str, str, str]) -> None:
    cpu, memory, received, read = names
    text = "".join(
        f'{cpu}{{cpu="0",mode="{m}"}} {s}\n' for m, s in (("idle", 60), ("iowait", 5), ("user", 35), ("guest", 30))
    )
    text += f"{memory} 1000\n"
    text += "".join(f'{received}{{device="{d}"}} {n}\n' for d, n in (("eth0", 7), ("lo", 90), ("veth1a", 7), ("br-77", 7)))
    text += "".join(f'{read}{{device="{d}"}} {n}\n' for d, n in (("sda", 5), ("sda1", 5), ("dm-0", 5), ("nvme0n1", 4)))
    known = known_of(text)
    assert known["host_cpu_busy_ratio"] == {"": 0.4}
    assert known["host_memory_total_bytes"] == {"": 1000.0}
    assert known["host_network_received_bytes"] == {"device=eth0": 7.0}
    assert known["host_disk_read_bytes"] == {"device=sda": 5.0, "device=nvme0n1": 4.0}


def test_memory_in_use_is_what_is_not_available() -> None:
    text = "node_memory_MemTotal_bytes 1000\nnode_memory_MemAvailable_bytes 700\nnode_memory_MemFree_bytes 100\n"
    assert signals_of(text)["host_memory_used_bytes"] == 300.0


def test_gpus_of_a_ray_node_have_an_index_and_mebibytes() -> None:
    gpu = 'ip="10.0.0.2",GpuIndex="1",GpuDeviceName="H100"'
    text = (
        f"ray_node_gpus_utilization{{{gpu}}} 75.5\nray_node_gram_used{{{gpu}}} 81920\nray_node_gram_available{{{gpu}}} 0\n"
        'ray_node_gpus_utilization{ip="10.0.0.2"} 180\n'
    )
    assert signals_of(text) == {
        "gpu_busy_ratio{gpu=1}": 0.755,
        "gpu_memory_used_bytes{gpu=1}": 80 * 2**30,
        "gpu_memory_free_bytes{gpu=1}": 0.0,
        "gpu_memory_total_bytes{gpu=1}": 80 * 2**30,
        "gpu_memory_used_ratio{gpu=1}": 1.0,
    }
