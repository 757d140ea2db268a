"""The GPUs of the machine that recwatch runs on, as measures.

How busy an instance of a GPU (MIG) is, NVML does not tell; DCGM does. PCIe is left out: each reading blocks for 20 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from collectors.measures import Key, labels_of
from recwatch.core.errors import Unavailable

_MOST_EVENTS = 64
"""Errors taken in at one reading; a driver that floods us is read on next time."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One reading of a GPU, or of its instance `mig`: quantities in base units. What it does not tell is absent."""

    index: int
    told: Mapping[str, float]
    mig: str = ""


class GpuDriver(Protocol):
    """Reads the GPUs of a machine."""

    def gpus(self) -> Sequence[Gpu]:
        """One reading of each GPU and of each instance. Raises Unavailable where there is no GPU or no driver."""
        ...


def gpu_measures(gpus: Sequence[Gpu]) -> dict[Key, float]:
    """All that the GPUs tell, by quantity and labels.

    >>> gpu_measures([Gpu(0, {"gpu_power_watts": 71.5}), Gpu(0, {"gpu_memory_used_bytes": 5.0}, mig="3")])
    {('gpu_power_watts', (('gpu', '0'),)): 71.5, ('gpu_memory_used_bytes', (('gpu', '0'), ('mig', '3'))): 5.0}
    """
    return {
        (quantity, labels_of([("gpu", str(gpu.index)), ("mig", gpu.mig)])): float(value)
        for gpu in gpus
        for quantity, value in gpu.told.items()
    }


class Nvml:
    """The NVIDIA driver, through nvidia-ml-py: `library`, or pynvml, which is imported when the first reading is asked for.

    Errors (XID) are events: the last one of each GPU since the first reading stays its `gpu_xid_code`. A machine may have no
    events, such as a guest of another; then there is no such code.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library
        self._connected = False
        self._events: Any = None
        self._xids: dict[int, float] = {}

    def gpus(self) -> Sequence[Gpu]:
        nvml = self._library or _pynvml()
        try:
            if not self._connected:
                self._connect(nvml)
            self._take_events(nvml)
            return [gpu for index in range(nvml.nvmlDeviceGetCount()) for gpu in self._of(nvml, index)]
        except nvml.NVMLError as error:
            self._disconnect(nvml)
            raise Unavailable(f"the NVIDIA driver gives no reading: {error}") from error

    def _connect(self, nvml: Any) -> None:
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise Unavailable(f"no NVIDIA driver answers on this machine: {error}") from error
        self._connected = True
        self._listen(nvml)

    def _disconnect(self, nvml: Any) -> None:
        """Give back what the driver keeps for us; one that fails may fail of that too."""
        self._stop_listening(nvml)
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
        self._connected = False

    def _listen(self, nvml: Any) -> None:
        try:
            self._events = nvml.nvmlEventSetCreate()
        except _untold(nvml):
            return
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, self._events)
            except (*_untold(nvml), nvml.NVMLError_GpuIsLost):
                continue
            self._xids.setdefault(index, 0.0)

    def _stop_listening(self, nvml: Any) -> None:
        if self._events is not None:
            with suppress(nvml.NVMLError):
                nvml.nvmlEventSetFree(self._events)
            self._events = None

    def _take_events(self, nvml: Any) -> None:
        for _ in range(_MOST_EVENTS if self._events is not None else 0):
            try:
                event = nvml.nvmlEventSetWait_v2(self._events, 0)
                self._xids[nvml.nvmlDeviceGetIndex(event.device)] = float(event.eventData)
            except (nvml.NVMLError_Timeout, nvml.NVMLError_GpuIsLost):
                return
            except _untold(nvml):
                self._stop_listening(nvml)
                self._xids.clear()
                return

    def _of(self, nvml: Any, index: int) -> Iterator[Gpu]:
        """A GPU and its instances; nothing where it fell off the bus, so that the others are still seen."""
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            xid = {"gpu_xid_code": self._xids[index]} if index in self._xids else {}
            gpu = Gpu(index, _told(nvml, _readings(nvml, handle)) | _told(nvml, _memory(nvml, handle)) | xid)
            instances = list(_instances(nvml, index, handle))
        except nvml.NVMLError_GpuIsLost:
            return
        yield gpu
        yield from instances


def _pynvml() -> Any:
    import pynvml  # noqa: PLC0415 - a machine without a GPU need not load it

    return pynvml


Ask = Callable[[], float | None]


def _untold(nvml: Any) -> tuple[type[Exception], ...]:
    """A card, a driver or a user's rights may lack one reading; the others are there all the same."""
    return (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission)


def _told(nvml: Any, readings: Mapping[str, Ask]) -> dict[str, float]:
    told = {}
    for quantity, ask in readings.items():
        try:
            value = ask()
        except _untold(nvml):
            continue
        if value is not None:
            told[quantity] = float(value)
    return told


def _readings(nvml: Any, handle: Any) -> Mapping[str, Ask]:
    """Percent, MHz, mW and mJ → base units."""

    def flags() -> float:
        return bool(int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) & _held_down(nvml))

    def memory_temperature() -> float | None:
        field = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_MEMORY_TEMP])[0]
        return field.value.uiVal or None if field.nvmlReturn == nvml.NVML_SUCCESS else None

    def uncorrected() -> float:
        return float(
            nvml.nvmlDeviceGetTotalEccErrors(handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
        )

    return {
        "gpu_busy_ratio": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        "gpu_sm_clock_hertz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6,
        "gpu_sm_clock_max_hertz": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6,
        "gpu_memory_clock_hertz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM) * 1e6,
        "gpu_throttled": flags,
        "gpu_power_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "gpu_power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
        "gpu_energy_joules": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000,
        "gpu_temperature_celsius": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "gpu_memory_temperature_celsius": memory_temperature,
        "gpu_ecc_uncorrected_errors": uncorrected,
        "gpu_rows_remapped": lambda: nvml.nvmlDeviceGetRemappedRows(handle)[1],
        "gpu_row_remap_failed": lambda: nvml.nvmlDeviceGetRemappedRows(handle)[3],
    }


def _memory(nvml: Any, handle: Any) -> Mapping[str, Ask]:
    """Of a GPU or of an instance, of one moment. What the driver keeps is apart since driver 510, and was in use before."""

    @cache
    def info() -> Any:
        try:
            return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        except _untold(nvml):
            return nvml.nvmlDeviceGetMemoryInfo(handle)

    def top_process() -> float | None:
        sizes = [process.usedGpuMemory for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        return None if None in sizes else max(sizes, default=0)

    return {
        "gpu_memory_used_bytes": lambda: info().used,
        "gpu_memory_free_bytes": lambda: info().free,
        "gpu_memory_reserved_bytes": lambda: getattr(info(), "reserved", None),
        "gpu_memory_total_bytes": lambda: info().total,
        "gpu_memory_top_process_bytes": top_process,
    }


def _instances(nvml: Any, index: int, handle: Any) -> Iterator[Gpu]:
    try:
        if nvml.nvmlDeviceGetMigMode(handle)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return
    except _untold(nvml):
        return
    for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
        except nvml.NVMLError_NotFound:
            continue
        name = str(nvml.nvmlDeviceGetGpuInstanceId(instance))
        yield Gpu(index, _told(nvml, _memory(nvml, instance)), mig=name)


def _held_down(nvml: Any) -> int:
    """The reasons for a lower clock that are neither idleness nor somebody's choice."""
    return int(
        nvml.nvmlClocksThrottleReasonSwPowerCap
        | nvml.nvmlClocksThrottleReasonHwSlowdown
        | nvml.nvmlClocksThrottleReasonSyncBoost
        | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
        | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
        | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
    )
