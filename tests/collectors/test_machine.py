"""The machine that recwatch runs on: host and GPUs."""

import os
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import psutil
import pytest

from collectors.devices import LOCAL_FILESYSTEM
from collectors.host import host_measures
from collectors.machine import Machine, Source
from collectors.nvml import Gpu
from collectors.quantities import QUANTITIES
from recwatch.core.errors import Unavailable
from tests.collectors.scenes import Watch
from tests.collectors.server import PageServer, page, serving


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        running.answers = {"/metrics": page("a 1\n")}
        yield running


class FakeGpus:
    """GPUs that show what they are told to; none when there are no readings left."""

    def __init__(self, *readings: Sequence[Gpu]) -> None:
        self._readings = list(readings)

    def gpus(self) -> Sequence[Gpu]:
        if not self._readings:
            raise Unavailable("the GPU fell off the bus")
        return self._readings.pop(0)


def test_this_host_tells_its_cores_memory_load_and_start() -> None:
    told = host_measures()
    assert {name for name, _ in told} <= QUANTITIES.keys()
    assert 0 <= told["host_cpu_busy_seconds", ()] < told["host_cpu_seconds", ()]
    total, available = told["host_memory_total_bytes", ()], told["host_memory_available_bytes", ()]
    assert 0 < available < total == psutil.virtual_memory().total
    assert told["host_boot_time_seconds", ()] > 1e9
    assert told["host_load1", ()] >= 0


def test_guests_are_not_counted_twice_and_only_idle_cores_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"user": 10.0, "guest": 5.0, "system": 3.0, "iowait": 2.0, "idle": 45.0}
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(_asdict=lambda: times))
    told = host_measures()
    assert (told["host_cpu_busy_seconds", ()], told["host_cpu_seconds", ()]) == (15.0, 60.0)


def test_only_devices_that_are_no_others_in_disguise_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = {name: SimpleNamespace(bytes_recv=7, bytes_sent=9) for name in ("lo", "eth0", "docker0", "veth12ab", "enp3s0")}
    disks = {name: SimpleNamespace(read_bytes=5, write_bytes=3) for name in ("sda", "sda1", "dm-0", "nvme0n1", "nvme0n1p2")}
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: nets)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disks)
    devices = {
        labels[0][1]: value for (name, labels), value in host_measures().items() if name.endswith(("received_bytes",))
    }
    assert devices == {"eth0": 7, "enp3s0": 7}
    written = {labels[0][1] for name, labels in host_measures() if name == "host_disk_written_bytes"}
    assert written == {"sda", "nvme0n1"}


def test_this_host_tells_the_space_that_users_have_on_each_of_its_file_systems() -> None:
    told = {labels: value for (name, labels), value in host_measures().items() if name == "host_filesystem_available_bytes"}
    local = {one.device: one for one in psutil.disk_partitions(all=True) if one.fstype in LOCAL_FILESYSTEM}
    assert len(told) == len([one for one in local.values() if "ro" not in one.opts.split(",")])
    for ((label, mountpoint),), value in told.items():
        stat = os.statvfs(mountpoint)
        assert label == "mountpoint"
        assert os.path.ismount(mountpoint)
        assert value == pytest.approx(stat.f_bavail * stat.f_frsize, rel=0.1)


def test_a_file_system_counts_once_and_only_where_it_is_a_disk_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        ("/dev/sda1", "/", "ext4", "rw,relatime"),
        ("/dev/sda1", "/srv/models", "ext4", "rw,bind"),
        ("/dev/sdb1", "/data", "xfs", "rw"),
        ("/dev/sdc1", "/release", "ext4", "ro,relatime"),
        ("/dev/loop3", "/snap/core/1", "squashfs", "ro"),
        ("/dev/sr0", "/media/cd", "iso9660", "ro"),
        ("overlay", "/var/lib/docker/overlay2/ab/merged", "overlay", "rw"),
        ("tmpfs", "/run", "tmpfs", "rw"),
        ("nas:/models", "/models", "nfs4", "rw"),
        ("/dev/sdd1", "/unmounted", "ext4", "rw"),
    ]
    free = {"/": 7, "/data": 9}

    def usage(path: str) -> SimpleNamespace:
        if path not in free:
            raise FileNotFoundError(path)
        return SimpleNamespace(free=free[path])

    parts = [SimpleNamespace(device=d, mountpoint=at, fstype=kind, opts=opts) for d, at, kind, opts in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: parts)
    monkeypatch.setattr(psutil, "disk_usage", usage)
    told = {labels: value for (name, labels), value in host_measures().items() if name == "host_filesystem_available_bytes"}
    assert told == {(("mountpoint", "/"),): 7, (("mountpoint", "/data"),): 9}


def test_a_share_of_work_comes_from_the_second_reading_on(server: PageServer) -> None:
    watch = Watch.of(server.url("/metrics"), scrape_interval="5s", host=True)
    first = watch.signals(watch.tick())
    assert {"host_memory_available_bytes", "host_memory_used_bytes", "host_load1"} <= first.keys()
    assert "host_cpu_busy_ratio" not in first
    shares = [watch.signals(watch.tick()).get("host_cpu_busy_ratio") for _ in range(20)]
    assert any(share is not None and 0 <= share <= 1 for share in shares)
    watch.close()


def test_a_source_tells_levels_as_they_are_and_counters_by_their_growth() -> None:
    source = Source(max_gap_ms=5000)
    power, energy = ("gpu_power_watts", (("gpu", "0"),)), ("gpu_energy_joules", (("gpu", "0"),))
    first = source.reading(1000, {power: 70.0, energy: 500.0})
    assert (first.instants, dict(first.increments), first.interval_s) == (((power, 70.0),), {}, None)
    second = source.reading(3000, {power: 80.0, energy: 650.0})
    assert (second.instants, dict(second.increments), second.interval_s) == (((power, 80.0),), {energy: 150.0}, 2.0)


def test_gpus_are_read_and_their_loss_is_told(server: PageServer) -> None:
    gpus = FakeGpus(
        [
            Gpu(0, {"gpu_busy_ratio": 0.7, "gpu_throttled": 1.0}),
            Gpu(1, {"gpu_sm_clock_hertz": 1.4e9, "gpu_throttled": 0.0}),
        ]
    )
    watch = Watch.of(server.url("/metrics"), gpus=gpus, nvml=True, scrape_interval="5s")
    assert watch.signals(watch.tick()) == {
        "gpu_busy_ratio{gpu: 0}": 0.7,
        "gpu_throttled_ratio{gpu: 0}": 1.0,
        "gpu_sm_clock_hertz{gpu: 1}": 1.4e9,
        "gpu_throttled_ratio{gpu: 1}": 0.0,
        "targets_up_ratio": 1.0,
    }
    assert watch.signals(watch.tick()) == {"targets_up_ratio": 1.0}
    status = watch.collector.targets()[-1]
    assert (status.url, status.up, status.last_error) == ("nvml:", False, "the GPU fell off the bus")
    assert status.last_scrape_ms == watch.time_ms - 1000
    watch.close()


def test_energy_becomes_power_and_instances_stay_apart() -> None:
    machine = Machine(
        False,
        FakeGpus(
            [Gpu(0, {"gpu_energy_joules": 100.0})],
            [Gpu(0, {"gpu_energy_joules": 700.0}), Gpu(0, {"gpu_memory_used_bytes": 5.0}, mig="3")],
        ),
        5000,
    )
    assert machine.signals(1000) == {}
    assert machine.signals(3000) == {
        ("gpu_energy_watts", (("gpu", "0"),)): 300.0,
        ("gpu_memory_used_bytes", (("gpu", "0"), ("mig", "3"))): 5.0,
    }
