"""AMD's device metrics exporter. Its names may carry a prefix that its configuration chooses; `amd_` and `amd` are known.

Where a card lacks a sensor some versions print 0, others the largest number of the sensor's width. "MB" of GPU memory are
MiB: a card of 24 GiB with a window of 256 MiB prints 24534 and 253 as free. "KB" of xGMI are taken as 1000 bytes, since AMD
does not say.
"""

from __future__ import annotations

from typing import Any

from collectors.normalise.rules import ANY, MHZ, MIB, MICRO, PERCENT, Table, rule

_KB = 1000.0
_BLANKS = (2.0**16 - 1, 2.0**32 - 1, 2.0**64 - 1)
_PREFIXES = ("", "amd_", "amd")

_LABELS = {"gpu": "gpu_id", "host": "hostname"}
_GPU: Any = {"labels": _LABELS, "where": {"gpu_id": ANY}}
_LINKS: Any = {"labels": {**_LABELS, "link": "link_index"}, "where": {"gpu_id": ANY}}
_VIOLATIONS = ("processor_hot", "ppt", "socket_thermal", "vr_thermal", "hbm_thermal")


def _named(*names: str) -> tuple[str, ...]:
    return tuple(prefix + name for name in names for prefix in _PREFIXES)


def _clock(kind: str) -> Any:
    """One clock of each kind per die; until 1.3 their types were written out."""
    types = (kind, f"GPU_CLOCK_TYPE_{kind.upper()}")
    return {"labels": {**_LABELS, "die": "clock_index"}, "where": {"gpu_id": ANY, "clock_type": types}}


AMD = Table(
    (
        rule(_named("gpu_gfx_activity"), "gpu_busy_ratio", PERCENT, **_GPU),
        rule(_named("gpu_umc_activity"), "gpu_memory_busy_ratio", PERCENT, **_GPU),
        rule(_named("gpu_prof_sm_active"), "gpu_sm_active_ratio", PERCENT, setting="enable ProfilerMetrics", **_GPU),
        rule(
            _named("gpu_prof_tensor_active_percent"),
            "gpu_tensor_active_ratio",
            PERCENT,
            setting="enable ProfilerMetrics",
            **_GPU,
        ),
        rule(_named("gpu_total_vram"), "gpu_memory_total_bytes", MIB, **_GPU),
        rule(_named("gpu_used_vram"), "gpu_memory_used_bytes", MIB, **_GPU),
        rule(_named("gpu_free_vram"), "gpu_memory_free_bytes", MIB, **_GPU),
        rule(_named("gpu_clock"), "gpu_sm_clock_hertz", MHZ, **_clock("system")),
        rule(_named("gpu_clock"), "gpu_memory_clock_hertz", MHZ, **_clock("memory")),
        rule(_named("gpu_max_clock"), "gpu_sm_clock_max_hertz", MHZ, **_clock("system")),
        # MI300 has the first of these sensors, MI200 the second.
        rule(_named("gpu_package_power"), "gpu_power_watts", **_GPU),
        rule(_named("gpu_average_package_power", "gpu_power_usage"), "gpu_average_power_watts", **_GPU),
        rule(_named("gpu_energy_consumed"), "gpu_energy_joules", MICRO, **_GPU),
        rule(_named("gpu_junction_temperature"), "gpu_temperature_celsius", **_GPU),
        rule(_named("gpu_edge_temperature"), "gpu_edge_temperature_celsius", **_GPU),
        rule(_named("gpu_memory_temperature"), "gpu_memory_temperature_celsius", **_GPU),
        *(
            rule(
                _named(f"gpu_violation_{why}_residency_percentage"),
                "gpu_throttled",
                PERCENT,
                labels=_LABELS,
                where=_GPU["where"],
                versions="MI300",
            )
            for why in _VIOLATIONS
        ),
        rule(_named("gpu_xgmi_link_tx"), "gpu_link_tx_bytes", _KB, **_LINKS),
        rule(_named("gpu_xgmi_link_rx"), "gpu_link_rx_bytes", _KB, **_LINKS),
        rule(_named("pcie_tx"), "gpu_pcie_tx_bytes", **_GPU),
        rule(_named("pcie_rx"), "gpu_pcie_rx_bytes", **_GPU),
        rule(_named("gpu_ecc_uncorrect_total"), "gpu_ecc_uncorrected_errors", **_GPU),
    ),
    marks=_named(
        "gpu_gfx_activity",
        "gpu_package_power",
        "gpu_average_package_power",
        "gpu_power_usage",
        "gpu_energy_consumed",
        "gpu_total_vram",
        "gpu_used_vram",
        "gpu_junction_temperature",
        "gpu_edge_temperature",
        "gpu_clock",
        "gpu_xgmi_link_tx",
        "gpu_xgmi_link_rx",
        "gpu_nodes_total",
    ),
    blanks=_BLANKS,
    repeats=True,
)
