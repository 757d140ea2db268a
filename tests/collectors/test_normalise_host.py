"""Pages of the node exporter and of Ray's nodes."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

import httpx
import pytest

from cluster.ports import free_ports
from collectors.host import host_measures
from tests.collectors.hardware_pages import known_of, signals_of
from tests.conftest import require
from tests.waiting import until

SPACE = "host_filesystem_available_bytes"


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


@pytest.mark.parametrize("name", ["node_filesystem_avail_bytes", "node_filesystem_avail"])
def test_each_file_system_on_a_disk_of_the_host_counts_once(name: str) -> None:
    mounts = [
        ("/dev/nvme0n1p2", "ext4", "/", 40e9),
        ("/dev/nvme0n1p2", "ext4", "/var/lib/kubelet/pods/7f/volume-subpaths/logs", 40e9),
        ("/dev/mapper/vg0-data", "xfs", "/data", 90e9),
        ("tmpfs", "tmpfs", "/run", 3e9),
        ("overlay", "overlay", "/var/lib/docker/overlay2/ab/merged", 40e9),
        ("/dev/loop3", "squashfs", "/snap/core/1", 0),
        ("nas:/models", "nfs4", "/models", 7e12),
    ]
    text = 'node_cpu_seconds_total{cpu="0",mode="idle"} 60\n'
    text += "".join(f'{name}{{device="{d}",fstype="{kind}",mountpoint="{at}"}} {v}\n' for d, kind, at, v in mounts)
    assert signals_of(text) == {
        f"{SPACE}{{mountpoint=/}}": 40e9,
        f"{SPACE}{{mountpoint=/data}}": 90e9,
    }


def test_of_hosts_that_are_not_told_apart_the_one_with_least_space_counts() -> None:
    text = "".join(
        f'node_filesystem_avail_bytes{{device="/dev/sda1",fstype="xfs",instance="{host}",mountpoint="/data"}} {space}\n'
        for host, space in (("a", 9e9), ("b", 4e9))
    )
    assert signals_of(f"node_load1 1\n{text}")[f"{SPACE}{{mountpoint=/data}}"] == 4e9


def test_a_node_exporter_that_runs_here_tells_what_its_host_does() -> None:
    program = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    require("node_exporter", program is not None, "no node exporter is on the path")
    [port] = free_ports(1)
    running = subprocess.Popen([str(program), f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    pages: list[str] = []

    def answers() -> bool:
        with suppress(httpx.TransportError):
            pages.append(httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text)
        return bool(pages)

    try:
        until(answers, "the node exporter answers")
    finally:
        running.terminate()
        running.wait()
    ours = {f"mountpoint={labels[0][1]}": v for (name, labels), v in host_measures().items() if name == SPACE}
    assert known_of(pages[0])[SPACE] == {of: pytest.approx(value, rel=0.1) for of, value in ours.items()}


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
