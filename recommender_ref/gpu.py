"""An emulated GPU for machines without one: its readings follow the work really done on the processor.

The page has the shape of NVIDIA's DCGM exporter; every row says `emulated="true"`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SM_CLOCK_MHZ = 1410.0
MEM_CLOCK_MHZ = 1215.0
MEMORY_MIB = 16_384.0
IDLE_WATTS = 55.0
BUSY_WATTS = 245.0
ROOM_CELSIUS = 30.0
CELSIUS_PER_WATT = 0.17
THROTTLED_CELSIUS = 88.0
WARMING_S = 15.0
BUSY_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """The state at `time_s` (any steady clock). `busy_ratio` is smoothed over about a second."""

    time_s: float
    busy_ratio: float = 0.0
    sm_clock_mhz: float = SM_CLOCK_MHZ
    celsius: float = ROOM_CELSIUS + CELSIUS_PER_WATT * IDLE_WATTS
    energy_mj: float = 0.0
    throttled_ns: float = 0.0

    @property
    def watts(self) -> float:
        """Idle power, and what work adds: in proportion to the square of the clock, since voltage falls with it."""
        return IDLE_WATTS + BUSY_WATTS * self.busy_ratio * (self.sm_clock_mhz / SM_CLOCK_MHZ) ** 2

    def advanced(self, time_s: float, busy_ratio: float, slowdown: float) -> Gpu:
        """The state at `time_s`, if since then the GPU was `busy_ratio` busy and its clock held down by `slowdown`.

        >>> Gpu(0.0).advanced(60.0, busy_ratio=1.0, slowdown=1.0).watts
        300.0
        """
        span_s = max(0.0, time_s - self.time_s)
        held_down = slowdown > 1.0
        smoothed = _lagged(self.busy_ratio, min(1.0, busy_ratio), span_s, BUSY_WINDOW_S)
        after = replace(self, time_s=time_s, busy_ratio=smoothed, sm_clock_mhz=SM_CLOCK_MHZ / slowdown)
        towards = THROTTLED_CELSIUS if held_down else ROOM_CELSIUS + CELSIUS_PER_WATT * after.watts
        return replace(
            after,
            celsius=_lagged(self.celsius, towards, span_s, WARMING_S),
            energy_mj=self.energy_mj + after.watts * span_s * 1000,
            throttled_ns=self.throttled_ns + (span_s * 1e9 if held_down else 0.0),
        )


def _lagged(value: float, towards: float, span_s: float, constant_s: float) -> float:
    """A first-order lag: after one time constant 63 % of the way is gone."""
    return towards + (value - towards) * (1.0 if span_s == 0.0 else math.exp(-span_s / constant_s))


def exposition(gpu: Gpu, memory_used_mib: float, hostname: str) -> str:
    """The readings as DCGM exporter's page."""
    labels = f'gpu="0",UUID="GPU-emulated-0",device="nvidia0",modelName="emulated",Hostname="{hostname}",emulated="true"'
    rows = (
        ("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", gpu.sm_clock_mhz),
        ("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", MEM_CLOCK_MHZ),
        ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", gpu.celsius),
        ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", gpu.watts),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).", gpu.energy_mj),
        ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", 100 * gpu.busy_ratio),
        ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", memory_used_mib),
        ("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", MEMORY_MIB - memory_used_mib),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active.", gpu.busy_ratio),
        ("DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "Throttling due to thermal limits (in ns).", gpu.throttled_ns),
    )
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name}{{{labels}}} {value:.6f}\n" for name, kind, text, value in rows
    )
