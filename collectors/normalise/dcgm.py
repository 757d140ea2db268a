"""NVIDIA's DCGM exporter.

Units are taken from the names: HELP texts of recorded pages are wrong about them.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import ANY, MHZ, MIB, MILLI, NANO, PERCENT, Table, rule

# DCGM's "no data", "not found", "not supported" and "not permitted", as int32, double and (one float for all) int64.
_BLANKS = (*(0x7FFFFFF0 + n for n in range(4)), *(2.0**47 + n for n in range(4)), 2.0**63)

# `emulated` is carried over, so that a made-up GPU is never taken for a real one.
_GPU: Any = {
    "labels": {"gpu": "gpu", "mig": "GPU_I_ID", "host": "Hostname", "emulated": "emulated"},
    "where": {"gpu": ANY},
}
_VIOLATIONS = ("THERMAL", "POWER", "BOARD_LIMIT", "RELIABILITY", "SYNC_BOOST")

DCGM = Table(
    (
        rule("DCGM_FI_DEV_GPU_UTIL", "gpu_busy_ratio", PERCENT, **_GPU),
        # On MIG there is no GPU_UTIL; where there is, it is right even while profiling is off and PROF fields stand at 0.
        rule("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gpu_busy_ratio", unless=("DCGM_FI_DEV_GPU_UTIL",), **_GPU),
        rule("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gpu_engine_active_ratio", **_GPU),
        rule("DCGM_FI_DEV_FB_USED", "gpu_memory_used_bytes", MIB, **_GPU),
        rule("DCGM_FI_DEV_SM_CLOCK", "gpu_sm_clock_hertz", MHZ, **_GPU),
        rule("DCGM_FI_DEV_POWER_USAGE", "gpu_power_watts", **_GPU),
        rule("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "gpu_energy_joules", MILLI, **_GPU),
        rule("DCGM_FI_DEV_GPU_TEMP", "gpu_temperature_celsius", **_GPU),
        rule([f"DCGM_FI_DEV_{why}_VIOLATION" for why in _VIOLATIONS], "gpu_throttled_seconds", NANO, **_GPU),
    ),
    marks=("DCGM_FI_*",),
    blanks=_BLANKS,
)
