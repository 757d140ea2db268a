"""NVIDIA's DCGM exporter, from its first names (`dcgm_sm_clock`) to those of DCGM 5 (`DCGM_FI_DEV_GPU_TEMP_CELSIUS`).

Units are taken from the names: HELP texts of recorded pages are wrong about them. A rate or a counter is told from TYPE.

Left out, since their unit changed between versions or is not certain: `DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL`,
`DCGM_FI_DEV_PCIE_TX_THROUGHPUT` and `_RX_THROUGHPUT`, and DCGM 5's `DCGM_FI_DEV_GPU_UTIL_RATIO`.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import ABSENT, ANY, MHZ, MIB, MILLI, NANO, PERCENT, Rule, Table, rule

# DCGM's "no data", "not found", "not supported" and "not permitted", as int32, double and (one float for all) int64.
_BLANKS = (*(0x7FFFFFF0 + n for n in range(4)), *(2.0**47 + n for n in range(4)), 2.0**63)

_GPU: Any = {
    "labels": {
        "gpu": ("gpu", "UUID", "uuid", "gpu_uuid"),
        "mig": "GPU_I_ID",
        "host": ("Hostname", "hostname"),
        "link": "nvlink",
        # Carried over, so that a made-up GPU is never taken for a real one.
        "emulated": "emulated",
    },
    # Rows of the links of a switch look like those of a GPU.
    "where": {"nvswitch": (ABSENT,)},
}
_NAMED: Any = {**_GPU, "where": {**_GPU["where"], "gpu": ANY}}

_HELD_DOWN = ("power_cap", "hw_slowdown", "sync_boost", "sw_thermal", "hw_thermal", "hw_power_brake")
_HELD_DOWN_FLAGS = 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80
"""The same as bits; the others are an idle GPU and clocks that somebody chose."""
_OTHER_EVENTS = (ABSENT, "gpu_idle", "clocks_setting", "display_clocks")
_VIOLATIONS = ("THERMAL", "POWER", "BOARD_LIMIT", "RELIABILITY", "SYNC_BOOST")

_UTIL = ("DCGM_FI_DEV_GPU_UTIL", "dcgm_gpu_utilization")
_ENGINE = ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "dcgm_fi_prof_gr_engine_active")
_THROTTLE_FLAGS = ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS")
_EVENTS = "DCGM_EXP_CLOCK_EVENTS_COUNT"
_EVENT_LABELS = {**_GPU["labels"], "event": "clock_event"}
_ENFORCED = ("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS")
_DOUBLE_BIT = ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "dcgm_ecc_dbe_volatile_total")
_NOT_BY_DEFAULT = "name it in the exporter's counters file (-f)"
_WANTED: Any = {**_GPU, "setting": _NOT_BY_DEFAULT}


def _traffic(names: tuple[str, ...], path: str, setting: str = "") -> tuple[Rule, ...]:
    """A rate, or a counter where TYPE says so."""
    return (
        rule(names, f"{path}_rate", kinds=("gauge", "untyped"), setting=setting, **_GPU),
        rule(names, f"{path}_bytes", kinds=("counter",), setting=setting, **_GPU),
    )


DCGM = Table(
    (
        rule(_UTIL, "gpu_busy_ratio", PERCENT, **_GPU),
        # On MIG there is no GPU_UTIL; where there is, it is right even while profiling is off and PROF fields stand at 0.
        rule(_ENGINE, "gpu_busy_ratio", unless=_UTIL, **_NAMED),
        rule(_ENGINE, "gpu_engine_active_ratio", **_GPU),
        rule(("DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_UTIL_RATIO"), "gpu_sm_active_ratio", **_WANTED),
        rule(("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO"), "gpu_tensor_active_ratio", **_GPU),
        rule(("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO"), "gpu_dram_active_ratio", **_GPU),
        rule(("DCGM_FI_DEV_FB_USED", "dcgm_fb_used"), "gpu_memory_used_bytes", MIB, **_GPU),
        rule(("DCGM_FI_DEV_FB_FREE", "dcgm_fb_free"), "gpu_memory_free_bytes", MIB, **_GPU),
        rule("DCGM_FI_DEV_FB_RESERVED", "gpu_memory_reserved_bytes", MIB, **_GPU),
        rule("DCGM_FI_DEV_FB_TOTAL", "gpu_memory_total_bytes", MIB, **_WANTED),
        # 0..1, whatever the older of the names says.
        rule(("DCGM_FI_DEV_FB_USED_PERCENT", "DCGM_FI_DEV_FB_USED_RATIO"), "gpu_memory_used_ratio", **_WANTED),
        rule(("DCGM_FI_DEV_SM_CLOCK", "dcgm_sm_clock"), "gpu_sm_clock_hertz", MHZ, **_GPU),
        rule("DCGM_FI_DEV_MAX_SM_CLOCK", "gpu_sm_clock_max_hertz", MHZ, **_WANTED),
        rule(("DCGM_FI_DEV_MEM_CLOCK", "dcgm_memory_clock"), "gpu_memory_clock_hertz", MHZ, **_GPU),
        rule(("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS", "dcgm_power_usage"), "gpu_power_watts", **_GPU),
        rule(_ENFORCED, "gpu_power_limit_watts", **_WANTED),
        rule(
            ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "DCGM_FI_DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS"),
            "gpu_power_limit_watts",
            unless=_ENFORCED,
            **_WANTED,
        ),
        rule(("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "dcgm_total_energy_consumption"), "gpu_energy_joules", MILLI, **_GPU),
        rule(("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", "dcgm_gpu_temp"), "gpu_temperature_celsius", **_GPU),
        rule(
            ("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS", "dcgm_memory_temp"),
            "gpu_memory_temperature_celsius",
            **_GPU,
        ),
        rule(
            [name for why in _VIOLATIONS for name in (f"DCGM_FI_DEV_{why}_VIOLATION", f"dcgm_{why.lower()}_violation")],
            "gpu_throttled_seconds",
            NANO,
            **_WANTED,
        ),
        rule(_THROTTLE_FLAGS, "gpu_throttled", flags=_HELD_DOWN_FLAGS, **_WANTED),
        # Counts of the exporter's window of some minutes, a row an event; one without an event says that there was none.
        rule(
            _EVENTS,
            "gpu_throttled",
            labels=_EVENT_LABELS,
            where={"clock_event": _HELD_DOWN},
            unless=_THROTTLE_FLAGS,
            setting=_NOT_BY_DEFAULT,
        ),
        rule(
            _EVENTS,
            "gpu_throttled",
            0.0,
            labels=_EVENT_LABELS,
            where={"clock_event": _OTHER_EVENTS},
            unless=_THROTTLE_FLAGS,
        ),
        *(
            _traffic((f"DCGM_FI_PROF_PCIE_{way.upper()}_BYTES", f"dcgm_fi_prof_pcie_{way}_bytes"), f"gpu_pcie_{way}")
            for way in ("tx", "rx")
        ),
        *(
            _traffic((f"DCGM_FI_PROF_NVLINK_{way.upper()}_BYTES",), f"gpu_link_{way}", _NOT_BY_DEFAULT)
            for way in ("tx", "rx")
        ),
        *(
            rule(
                (f"DCGM_FI_DEV_NVLINK_COUNT_{way.upper()}_BYTES", f"DCGM_FI_DEV_NVLINK_{way.upper()}_BYTES_TOTAL"),
                f"gpu_link_{way}_bytes",
                unless=(f"DCGM_FI_PROF_NVLINK_{way.upper()}_BYTES",),
                **_WANTED,
            )
            for way in ("tx", "rx")
        ),
        rule(
            ("DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR", "dcgm_xid_errors"),
            "gpu_xid_code",
            labels={**_GPU["labels"], "event": "err_code"},
            where=_GPU["where"],
        ),
        rule(
            "DCGM_EXP_XID_ERRORS_COUNT",
            "gpu_xid_errors",
            labels={**_GPU["labels"], "xid": "xid"},
            where=_GPU["where"],
            setting=_NOT_BY_DEFAULT,
        ),
        rule(_DOUBLE_BIT, "gpu_ecc_uncorrected_errors", **_WANTED),
        rule(
            ("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "dcgm_ecc_dbe_aggregate_total"),
            "gpu_ecc_uncorrected_errors",
            unless=_DOUBLE_BIT,
            **_WANTED,
        ),
        rule(
            ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL"),
            "gpu_rows_remapped",
            **_GPU,
        ),
        rule(("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_DEV_ROW_REMAP_FAILED"), "gpu_row_remap_failed", **_GPU),
    ),
    marks=("DCGM_FI_*", "DCGM_EXP_*", "dcgm_*"),
    blanks=_BLANKS,
    repeats=True,
    settings={
        **{
            f"gpu_{what}": "a data-centre GPU, and the capability SYS_ADMIN for the exporter, which profiling needs"
            for what in ("engine_active_ratio", "tensor_active_ratio", "dram_active_ratio")
        },
        "gpu_memory_top_process_bytes": "it names no processes; nvml: true does, where recwatch runs beside the GPU",
    },
)
