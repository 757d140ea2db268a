"""The NVIDIA driver's answers → readings in base units."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from collectors.nvml import Gpu, Nvml
from collectors.quantities import QUANTITIES
from recwatch.core.errors import Unavailable
from tests.conftest import require


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
            "Shutdown": None,
            "EventSetCreate": "set",
            "EventSetFree": None,
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


def test_used_and_free_memory_are_of_one_moment() -> None:
    moments = iter(range(1, 100))

    def info(_handle: int, **_version: int) -> Any:
        used = next(moments)
        return SimpleNamespace(total=100, used=used, free=100 - used, reserved=0)

    (gpu,) = Nvml(Library(DeviceGetMemoryInfo=info)).gpus()
    assert gpu.told["gpu_memory_used_bytes"] + gpu.told["gpu_memory_free_bytes"] == 100


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


def counting(held: list[str], **answers: Any) -> Library:
    """A library that notes what it keeps for whoever asks it."""

    def create() -> str:
        held.append("events")
        return "events"

    given = {"EventSetCreate": create, "EventSetFree": held.remove, **answers}
    return Library(Init=lambda: held.append("connection"), Shutdown=lambda: held.remove("connection"), **given)


@pytest.mark.parametrize("failing", ["DeviceGetCount", "EventSetWait_v2", "DeviceGetPowerUsage"])
def test_a_driver_that_fails_again_and_again_keeps_nothing_for_us(failing: str) -> None:
    held: list[str] = []
    nvml = Nvml(counting(held, **{failing: ERRORS["NVMLError_Uninitialized"]("Uninitialized")}))
    for _ in range(3):
        with pytest.raises(Unavailable, match="the NVIDIA driver gives no reading: Uninitialized"):
            nvml.gpus()
        assert held == []


def test_a_driver_that_cannot_even_take_back_is_asked_anew() -> None:
    gone = ERRORS["NVMLError_Uninitialized"]("Uninitialized")
    answers = [gone, 1000]
    library = Library(DeviceGetPowerUsage=lambda _: answers.pop(0), EventSetFree=gone, Shutdown=gone)
    nvml = Nvml(library)
    with pytest.raises(Unavailable, match="the NVIDIA driver gives no reading: Uninitialized"):
        nvml.gpus()
    assert nvml.gpus()[0].told["gpu_power_watts"] == 1.0


def test_events_that_cannot_be_waited_for_are_given_back() -> None:
    held: list[str] = []
    nvml = Nvml(counting(held, EventSetWait_v2=ERRORS["NVMLError_NotSupported"]()))
    nvml.gpus()
    assert held == ["connection"]
