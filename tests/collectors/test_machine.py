"""The machine that recwatch runs on: host and GPUs."""

import os
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from collectors.devices import LOCAL_FILESYSTEM
from collectors.host import host_measures
from collectors.machine import Machine, Source
from collectors.nvml import Gpu, Nvml
from collectors.quantities import QUANTITIES
from recwatch.core.errors import Unavailable
from tests.collectors.scenes import Watch
from tests.collectors.server import PageServer, page, serving
from tests.conftest import require


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


# --- the host -----------------------------------------------------------------------------------------------------------


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


# --- GPUs ---------------------------------------------------------------------------------------------------------------


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


def test_the_real_driver_gives_readings_or_says_why_not() -> None:
    gpus: Sequence[Gpu] = ()
    said = ""
    try:
        gpus = Nvml().gpus()
    except Unavailable as error:
        said = str(error)
    assert gpus or "NVIDIA driver" in said
    assert {gpu.index for gpu in gpus} == set(range(len({gpu.index for gpu in gpus})))
    assert all(0 <= gpu.told.get("gpu_busy_ratio", 0) <= 1 for gpu in gpus)
    assert all(gpu.told.keys() <= QUANTITIES.keys() for gpu in gpus)


def test_a_real_gpu_has_the_memory_that_cuda_sees() -> None:
    import torch  # noqa: PLC0415 (takes seconds)

    require("gpu", torch.cuda.is_available(), "PyTorch finds no CUDA device on this machine")
    held = torch.ones(256 << 20, dtype=torch.uint8, device="cuda")
    whole = [gpu for gpu in Nvml().gpus() if not gpu.mig]
    told = {name: max(gpu.told.get(name, 0.0) for gpu in whole) for name in WHOLE}
    assert len(whole) >= torch.cuda.device_count()
    assert told["gpu_memory_total_bytes"] == pytest.approx(torch.cuda.get_device_properties(0).total_memory, rel=0.05)
    assert told["gpu_memory_used_bytes"] > held.nbytes
    assert 1e8 < told["gpu_sm_clock_hertz"] <= told["gpu_sm_clock_max_hertz"] < 5e9
    assert 0 < told["gpu_power_watts"] < told["gpu_power_limit_watts"]


class NVMLError(Exception):
    """The library's own errors, by the names that it gives them."""


ERRORS = {
    name: type(name, (NVMLError,), {})
    for name in (
        "NVMLError_NotSupported",
        "NVMLError_FunctionNotFound",
        "NVMLError_NoPermission",
        "NVMLError_GpuIsLost",
        "NVMLError_Timeout",
        "NVMLError_NotFound",
        "NVMLError_Uninitialized",
    )
}
REAL_CONSTANTS = (
    "NVML_SUCCESS",
    "NVML_CLOCK_SM",
    "NVML_CLOCK_MEM",
    "NVML_TEMPERATURE_GPU",
    "NVML_FI_DEV_MEMORY_TEMP",
    "NVML_MEMORY_ERROR_TYPE_UNCORRECTED",
    "NVML_VOLATILE_ECC",
    "NVML_DEVICE_MIG_ENABLE",
    "nvmlMemory_v2",
    "nvmlEventTypeXidCriticalError",
    "nvmlClocksThrottleReasonSwPowerCap",
    "nvmlClocksThrottleReasonHwSlowdown",
    "nvmlClocksThrottleReasonSyncBoost",
    "nvmlClocksThrottleReasonSwThermalSlowdown",
    "nvmlClocksThrottleReasonHwThermalSlowdown",
    "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
)


class Library:
    """NVML's functions with the answers of one A100, in NVML's units; a handle is the GPU's index.

    `answers` are replaced by name; an answer that is an error is raised. The constants are the real library's.
    """

    def __init__(self, gpus: int = 1, **answers: Any) -> None:
        vars(self).update(ERRORS, NVMLError=NVMLError, **{name: getattr(pynvml, name) for name in REAL_CONSTANTS})
        self._answers = {
            "Init": None,
            "EventSetCreate": "set",
            "EventSetWait_v2": ERRORS["NVMLError_Timeout"](),
            "DeviceGetCount": gpus,
            "DeviceGetHandleByIndex": lambda index: index,
            "DeviceGetIndex": lambda handle: handle,
            "DeviceRegisterEvents": None,
            "DeviceGetUtilizationRates": SimpleNamespace(gpu=97, memory=40),
            "DeviceGetClockInfo": lambda _, which: {self.NVML_CLOCK_SM: 1410, self.NVML_CLOCK_MEM: 1215}[which],
            "DeviceGetMaxClockInfo": lambda _, which: {self.NVML_CLOCK_SM: 1410}[which],
            "DeviceGetCurrentClocksThrottleReasons": 0x4,
            "DeviceGetPowerUsage": 287_500,
            "DeviceGetEnforcedPowerLimit": 400_000,
            "DeviceGetTotalEnergyConsumption": 5_250_000,
            "DeviceGetTemperature": 61,
            "DeviceGetFieldValues": [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=72))],
            "DeviceGetTotalEccErrors": 2,
            "DeviceGetRemappedRows": (5, 1, 0, 0),
            "DeviceGetMemoryInfo": SimpleNamespace(total=40 << 30, used=9 << 30, free=30 << 30, reserved=1 << 30),
            "DeviceGetComputeRunningProcesses": [SimpleNamespace(usedGpuMemory=n << 30) for n in (1, 7)],
            "DeviceGetMigMode": (0, 0),
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        answer = self._answers[name.removeprefix("nvml")]

        def call(*given: Any, **more: Any) -> Any:
            found = answer(*given, **more) if callable(answer) else answer
            if isinstance(found, Exception):
                raise found
            return found

        return call


WHOLE = {
    "gpu_busy_ratio": 0.97,
    "gpu_sm_clock_hertz": 1.41e9,
    "gpu_sm_clock_max_hertz": 1.41e9,
    "gpu_memory_clock_hertz": 1.215e9,
    "gpu_throttled": 1.0,
    "gpu_power_watts": 287.5,
    "gpu_power_limit_watts": 400.0,
    "gpu_energy_joules": 5250.0,
    "gpu_temperature_celsius": 61.0,
    "gpu_memory_temperature_celsius": 72.0,
    "gpu_ecc_uncorrected_errors": 2.0,
    "gpu_rows_remapped": 1.0,
    "gpu_row_remap_failed": 0.0,
    "gpu_memory_used_bytes": 9.0 * 2**30,
    "gpu_memory_free_bytes": 30.0 * 2**30,
    "gpu_memory_reserved_bytes": 1.0 * 2**30,
    "gpu_memory_total_bytes": 40.0 * 2**30,
    "gpu_memory_top_process_bytes": 7.0 * 2**30,
    "gpu_xid_code": 0.0,
}


def test_nvml_is_told_in_base_units() -> None:
    assert Nvml(Library()).gpus() == [Gpu(0, WHOLE)]


@pytest.mark.parametrize("flags", [0x0, 0x1, 0x2, 0x100])
def test_an_idle_or_a_chosen_clock_is_not_held_down(flags: int) -> None:
    (gpu,) = Nvml(Library(DeviceGetCurrentClocksThrottleReasons=flags)).gpus()
    assert gpu.told["gpu_throttled"] == 0.0


@pytest.mark.parametrize("lacks", ["NVMLError_NotSupported", "NVMLError_FunctionNotFound", "NVMLError_NoPermission"])
def test_what_a_card_a_driver_or_a_user_lacks_is_absent_and_the_rest_is_there(lacks: str) -> None:
    missing = ERRORS[lacks]()
    library = Library(
        DeviceGetPowerUsage=missing,
        DeviceGetRemappedRows=missing,
        DeviceRegisterEvents=missing,
        DeviceGetMigMode=missing,
        DeviceGetFieldValues=[SimpleNamespace(nvmlReturn=3, value=SimpleNamespace(uiVal=0))],
        DeviceGetComputeRunningProcesses=[SimpleNamespace(usedGpuMemory=None)],
    )
    (gpu,) = Nvml(library).gpus()
    assert WHOLE.keys() - gpu.told.keys() == {
        "gpu_power_watts",
        "gpu_rows_remapped",
        "gpu_row_remap_failed",
        "gpu_xid_code",
        "gpu_memory_temperature_celsius",
        "gpu_memory_top_process_bytes",
    }


@pytest.mark.parametrize("lacking", ["EventSetCreate", "EventSetWait_v2"])
def test_a_machine_without_events_tells_all_but_errors(lacking: str) -> None:
    nvml = Nvml(Library(**{lacking: ERRORS["NVMLError_NotSupported"]()}))
    for _ in range(2):
        (gpu,) = nvml.gpus()
        assert WHOLE.keys() - gpu.told.keys() == {"gpu_xid_code"}


def test_an_older_driver_counts_what_it_keeps_as_used() -> None:
    def info(handle: int, version: int | None = None) -> Any:
        return ERRORS["NVMLError_FunctionNotFound"]() if version else SimpleNamespace(total=40, used=10, free=30)

    (gpu,) = Nvml(Library(DeviceGetMemoryInfo=info)).gpus()
    assert gpu.told["gpu_memory_used_bytes"] == 10
    assert "gpu_memory_reserved_bytes" not in gpu.told


def test_the_last_error_of_each_gpu_is_remembered() -> None:
    events = [SimpleNamespace(device=1, eventData=31), SimpleNamespace(device=1, eventData=79)]
    library = Library(2, EventSetWait_v2=lambda *_: events.pop(0) if events else ERRORS["NVMLError_Timeout"]())
    nvml = Nvml(library)
    assert [gpu.told["gpu_xid_code"] for gpu in nvml.gpus()] == [0.0, 79.0]
    assert [gpu.told["gpu_xid_code"] for gpu in nvml.gpus()] == [0.0, 79.0]


def test_a_flood_of_errors_does_not_hold_up_a_reading() -> None:
    (gpu,) = Nvml(Library(EventSetWait_v2=SimpleNamespace(device=0, eventData=13))).gpus()
    assert gpu.told["gpu_xid_code"] == 13.0


def test_a_gpu_that_fell_off_the_bus_does_not_take_the_others_along() -> None:
    lost = Library(2, DeviceGetPowerUsage=lambda handle: 1000 if handle else ERRORS["NVMLError_GpuIsLost"]())
    assert [gpu.index for gpu in Nvml(lost).gpus()] == [1]


def test_instances_tell_their_own_memory() -> None:
    def instance(_: int, place: int) -> Any:
        return f"MIG {place}" if place in (0, 2) else ERRORS["NVMLError_NotFound"]()

    library = Library(
        DeviceGetMigMode=(1, 1),
        DeviceGetMaxMigDeviceCount=7,
        DeviceGetMigDeviceHandleByIndex=instance,
        DeviceGetGpuInstanceId=lambda handle: {"MIG 0": 9, "MIG 2": 13}[handle],
    )
    whole, *instances = Nvml(library).gpus()
    assert whole == Gpu(0, WHOLE)
    assert [(gpu.index, gpu.mig) for gpu in instances] == [(0, "9"), (0, "13")]
    assert instances[0].told.keys() == {name for name in WHOLE if name.startswith("gpu_memory_") and name.endswith("_bytes")}


def test_a_driver_that_fails_is_said_to_and_asked_anew() -> None:
    answers = [ERRORS["NVMLError_Uninitialized"]("Uninitialized"), 1000]
    nvml = Nvml(Library(DeviceGetPowerUsage=lambda _: answers.pop(0)))
    with pytest.raises(Unavailable, match="the NVIDIA driver gives no reading: Uninitialized"):
        nvml.gpus()
    assert nvml.gpus()[0].told["gpu_power_watts"] == 1.0
