"""NVIDIA's DCGM exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collectors.exposition import Line
from collectors.measures import Measure, Quantity


class _Field(NamedTuple):
    quantity: Quantity
    scale: float


_FINER, _COARSER = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
_PERCENT, _MIB, _MHZ, _NANOSECOND = 0.01, 2.0**20, 1e6, 1e-9

_FIELDS: Mapping[str, _Field] = {
    _FINER: _Field("gpu_busy_ratio", 1.0),
    _COARSER: _Field("gpu_busy_ratio", _PERCENT),
    "DCGM_FI_DEV_FB_USED": _Field("gpu_memory_used_bytes", _MIB),
    "DCGM_FI_DEV_SM_CLOCK": _Field("gpu_sm_clock_hertz", _MHZ),
    "DCGM_FI_DEV_POWER_USAGE": _Field("gpu_power_watts", 1.0),
    "DCGM_FI_DEV_GPU_TEMP": _Field("gpu_temperature_celsius", 1.0),
    "DCGM_FI_DEV_THERMAL_VIOLATION": _Field("gpu_throttled_seconds", _NANOSECOND),
    "DCGM_FI_DEV_POWER_VIOLATION": _Field("gpu_throttled_seconds", _NANOSECOND),
    "DCGM_FI_DEV_BOARD_LIMIT_VIOLATION": _Field("gpu_throttled_seconds", _NANOSECOND),
    "DCGM_FI_DEV_RELIABILITY_VIOLATION": _Field("gpu_throttled_seconds", _NANOSECOND),
    "DCGM_FI_DEV_SYNC_BOOST_VIOLATION": _Field("gpu_throttled_seconds", _NANOSECOND),
}


class Dcgm:
    """Units are taken from the names: HELP texts of recorded pages are wrong about them.

    A line of a MIG instance is no reading of its GPU and is left alone. Of a GPU that has `GR_ENGINE_ACTIVE`, the
    coarser `GPU_UTIL` is not used. `emulated` is carried over, so that a made-up GPU is never taken for a real one.
    """

    # DCGM's "no data", "not found", "not supported" and "not permitted", as int32, double and (one float for all) int64.
    blanks: tuple[float, ...] = (*(0x7FFFFFF0 + n for n in range(4)), *(2.0**47 + n for n in range(4)), 2.0**63)

    def recognises(self, name: str) -> bool:
        return name.startswith("DCGM_FI_")

    def measures(self, lines: Sequence[Line]) -> Sequence[Measure | None]:
        measures = [_measure(line) for line in lines]
        finer = {m.labels for line, m in zip(lines, measures, strict=True) if m and line.name == _FINER}
        return [
            None if m and line.name == _COARSER and m.labels in finer else m for line, m in zip(lines, measures, strict=True)
        ]


def _measure(line: Line) -> Measure | None:
    field = _FIELDS.get(line.name)
    gpu = line.labels.get("gpu")
    if field is None or gpu is None or line.labels.get("GPU_I_ID"):
        return None
    emulated = line.labels.get("emulated")
    labels = (("gpu", gpu),) if emulated is None else (("emulated", emulated), ("gpu", gpu))
    return Measure(field.quantity, labels, field.scale)
