"""The GPUs of the machine that recwatch runs on → canonical GPU signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from collectors.measures import Key
from recwatch.core.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Gpu:
    """One reading of a GPU. What the GPU does not report is None. `throttled` is whether its clocks are held down now."""

    index: int
    busy_ratio: float | None = None
    memory_used_bytes: float | None = None
    sm_clock_hertz: float | None = None
    throttled: bool | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


class GpuDriver(Protocol):
    """Reads the GPUs of a machine."""

    def gpus(self) -> Sequence[Gpu]:
        """One reading of each GPU. Raises Unavailable where there is no GPU or no driver."""
        ...


def gpu_signals(gpus: Sequence[Gpu]) -> dict[Key, float]:
    """The canonical signals of the GPUs; what is not reported is absent.

    >>> gpu_signals([Gpu(index=0, power_watts=71.5)])
    {('gpu_power_watts', (('gpu', '0'),)): 71.5}
    """
    return {
        (name, (("gpu", str(gpu.index)),)): float(value)
        for gpu in gpus
        for name, value in (
            ("gpu_busy_ratio", gpu.busy_ratio),
            ("gpu_memory_used_bytes", gpu.memory_used_bytes),
            ("gpu_sm_clock_hertz", gpu.sm_clock_hertz),
            ("gpu_throttled_ratio", gpu.throttled),
            ("gpu_power_watts", gpu.power_watts),
            ("gpu_temperature_celsius", gpu.temperature_celsius),
        )
        if value is not None
    }


class Nvml:
    """The NVIDIA driver, through nvidia-ml-py, which is imported when the first reading is asked for."""

    def __init__(self) -> None:
        self._nvml: Any = None

    def gpus(self) -> Sequence[Gpu]:
        nvml = self._connected()
        try:
            return [_gpu(nvml, index, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError as error:
            self._nvml = None
            raise Unavailable(f"the NVIDIA driver gives no reading: {error}") from error

    def _connected(self) -> Any:
        if self._nvml is None:
            import pynvml  # noqa: PLC0415 - a machine without a GPU need not load it

            try:
                pynvml.nvmlInit()
            except pynvml.NVMLError as error:
                raise Unavailable(f"no NVIDIA driver answers on this machine: {error}") from error
            self._nvml = pynvml
        return self._nvml


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    def read(ask: Callable[[], float]) -> float | None:
        try:
            return ask()
        except nvml.NVMLError_NotSupported:
            return None

    held_down = (
        nvml.nvmlClocksThrottleReasonSwPowerCap
        | nvml.nvmlClocksThrottleReasonHwSlowdown
        | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
        | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
        | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
    )
    reasons = read(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    return Gpu(
        index,
        busy_ratio=read(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        memory_used_bytes=read(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used),
        sm_clock_hertz=read(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6),
        throttled=None if reasons is None else bool(int(reasons) & held_down),
        power_watts=read(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        temperature_celsius=read(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
    )
