"""Pages of DCGM exporters of all ages, a trap each."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.collectors.hardware_pages import known_of, signals_of
from tests.collectors.scenes import Watch
from tests.collectors.server import Answer, PageServer, page

GPU = 'gpu="0",UUID="GPU-1",Hostname="n1"'


@pytest.mark.parametrize(
    ("line", "signal", "value"),
    [
        ("DCGM_FI_DEV_POWER_USAGE", "gpu_power_watts", 71.5),
        ("DCGM_FI_DEV_BOARD_POWER_WATTS", "gpu_power_watts", 71.5),
        ("dcgm_power_usage", "gpu_power_watts", 71.5),
        ("DCGM_FI_DEV_GPU_TEMP_CELSIUS", "gpu_temperature_celsius", 71.5),
        ("dcgm_gpu_utilization", "gpu_busy_ratio", 0.715),
        ("DCGM_FI_DEV_FB_USED_PERCENT", "gpu_memory_used_ratio", 1.0),
        ("DCGM_FI_DEV_MAX_SM_CLOCK", "gpu_sm_clock_max_hertz", 71.5e6),
        ("DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", "gpu_rows_remapped", 71.5),
        ("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "gpu_ecc_uncorrected_errors", 71.5),
    ],
)
def test_dcgm_names_of_all_ages_tell_one_signal(line: str, signal: str, value: float) -> None:
    assert signals_of(f"{line}{{{GPU}}} 71.5\n") == {f"{signal}{{gpu=0}}": pytest.approx(value)}


def test_no_reading_is_not_a_reading() -> None:
    blanks = ("9223372036854775794", "2147483632", "140737488355328", "NaN")
    text = "".join(f'DCGM_FI_DEV_GPU_TEMP{{gpu="{gpu}"}} {blank}\n' for gpu, blank in enumerate(blanks))
    assert signals_of(text) == {}


def test_a_sensor_that_is_not_there_shows_no_degrees_and_no_watts() -> None:
    assert signals_of('DCGM_FI_DEV_MEMORY_TEMP{gpu="0"} 0\nDCGM_FI_DEV_POWER_USAGE{gpu="0"} 0\n') == {}


@pytest.mark.parametrize("host", ["Hostname", "hostname"])
def test_a_host_is_told_under_either_spelling(host: str) -> None:
    text = "".join(f'DCGM_FI_DEV_GPU_UTIL{{gpu="0",{host}="{name}"}} {use}\n' for name, use in (("a", 10), ("b", 90)))
    assert signals_of(text) == {"gpu_busy_ratio{gpu=0,host=a}": 0.1, "gpu_busy_ratio{gpu=0,host=b}": 0.9}


def test_a_gpu_without_an_index_goes_by_its_uuid() -> None:
    assert signals_of('DCGM_FI_DEV_GPU_UTIL{uuid="GPU-7"} 50\n') == {"gpu_busy_ratio{gpu=GPU-7}": 0.5}


def test_rows_without_any_label_are_readings_but_do_not_make_a_gpu_idle() -> None:
    text = 'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 50\nDCGM_FI_PROF_GR_ENGINE_ACTIVE 0\n'
    assert signals_of(text) == {"gpu_busy_ratio{gpu=0}": 0.5, "gpu_engine_active_ratio": 0.0}


def test_what_pods_share_is_counted_once() -> None:
    shared = "".join(
        f'{name}{{gpu="0",pod="{pod}"}} {value}\n'
        for name, value in (("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 5000), ("DCGM_FI_DEV_FB_USED", 100))
        for pod in ("", "a", "b")
    )
    known = known_of(shared)
    assert known["gpu_energy_joules"] == {"gpu=0": 5.0}
    assert known["gpu_memory_used_bytes"] == {"gpu=0": 100 * 2**20}


def test_instances_of_a_gpu_stay_apart_from_it_and_from_each_other() -> None:
    text = "".join(
        f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{gpu="0"{instance}}} {value}\n'
        for instance, value in (
            ("", 0.6),
            (',GPU_I_PROFILE="1g.5gb",GPU_I_ID="1"', 0.9),
            (',GPU_I_PROFILE="1g.5gb",GPU_I_ID="2"', 0.3),
        )
    )
    assert {k: v for k, v in signals_of(text).items() if k.startswith("gpu_busy")} == {
        "gpu_busy_ratio{gpu=0}": 0.6,
        "gpu_busy_ratio{gpu=0,mig=1}": 0.9,
        "gpu_busy_ratio{gpu=0,mig=2}": 0.3,
    }


def test_sm_active_of_an_instance_never_passes_one() -> None:
    text = 'DCGM_FI_PROF_SM_ACTIVE{gpu="0",GPU_I_ID="1"} 1.14\n'
    assert signals_of(text) == {"gpu_sm_active_ratio{gpu=0,mig=1}": 1.0}


def test_profiling_that_stands_still_while_the_gpu_works_tells_nothing() -> None:
    fields = ("GR_ENGINE_ACTIVE", "SM_ACTIVE", "PIPE_TENSOR_ACTIVE", "DRAM_ACTIVE")
    stuck = "".join(f'DCGM_FI_PROF_{field}{{gpu="0"}} 0\n' for field in fields)
    assert signals_of(f'DCGM_FI_DEV_GPU_UTIL{{gpu="0"}} 97\n{stuck}') == {"gpu_busy_ratio{gpu=0}": 0.97}
    assert len(signals_of(f'DCGM_FI_DEV_GPU_UTIL{{gpu="0"}} 0\n{stuck}')) == 5
    no_tensors = stuck.replace('GR_ENGINE_ACTIVE{gpu="0"} 0', 'GR_ENGINE_ACTIVE{gpu="0"} 0.9')
    assert signals_of(f'DCGM_FI_DEV_GPU_UTIL{{gpu="0"}} 97\n{no_tensors}')["gpu_tensor_active_ratio{gpu=0}"] == 0.0


@pytest.mark.parametrize(
    ("comment", "told"),
    [
        ("# TYPE DCGM_FI_PROF_PCIE_TX_BYTES gauge\n", {"gpu_pcie_tx_bytes_per_second": {"gpu=0": 500.0}}),
        ("", {"gpu_pcie_tx_bytes_per_second": {"gpu=0": 500.0}}),
        ("# TYPE DCGM_FI_PROF_PCIE_TX_BYTES counter\n", {"gpu_pcie_tx_bytes": {"gpu=0": 500.0}}),
    ],
)
def test_pcie_is_a_rate_unless_its_type_says_counter(comment: str, told: Mapping[str, Mapping[str, float]]) -> None:
    assert known_of(f'{comment}DCGM_FI_PROF_PCIE_TX_BYTES{{gpu="0"}} 500\n') == told


def test_links_add_up_under_either_shape_of_labels_and_a_switch_is_no_gpu() -> None:
    text = "".join(
        f"DCGM_FI_PROF_NVLINK_TX_BYTES{{{labels}}} 10\n"
        for labels in (
            'nvlink="0",gpu="0",gpu_uuid="GPU-1",device="nvidia0",model_name="H100",hostname="n1"',
            'nvlink="1",gpu="0",gpu_uuid="GPU-1",device="nvidia0",model_name="H100",hostname="n1"',
            'nvlink="0",nvswitch="3",Hostname="n1"',
        )
    )
    assert signals_of(text) == {"gpu_link_tx_bytes_per_second{gpu=0}": 20.0}


def test_clocks_held_down_are_told_by_flags() -> None:
    flags = {"0": 0x0, "1": 0x1, "2": 0x2, "3": 0x4, "4": 0x40 | 0x1, "5": 0x80}
    text = "".join(f'DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{{gpu="{gpu}"}} {value}\n' for gpu, value in flags.items())
    held = {"0": 0.0, "1": 0.0, "2": 0.0, "3": 1.0, "4": 1.0, "5": 1.0}
    assert signals_of(text) == {f"gpu_throttled_ratio{{gpu={gpu}}}": value for gpu, value in held.items()}


def test_clock_events_of_the_last_minutes_count_where_there_are_no_flags() -> None:
    event = 'DCGM_EXP_CLOCK_EVENTS_COUNT{{gpu="{}",clock_event="{}",window_size_in_ms="300000"}} {}\n'.format
    text = event(0, "gpu_idle", 9) + event(0, "hw_thermal", 3) + event(0, "power_cap", 1) + event(1, "gpu_idle", 10)
    none = 'DCGM_EXP_CLOCK_EVENTS_COUNT{gpu="2",window_size_in_ms="300000"} 0\n'
    assert signals_of(text + none) == {
        "gpu_throttled_ratio{gpu=0}": 1.0,
        "gpu_throttled_ratio{gpu=1}": 0.0,
        "gpu_throttled_ratio{gpu=2}": 0.0,
    }
    now = 'DCGM_FI_DEV_CLOCKS_EVENT_REASONS{gpu="0"} 1\n'
    assert signals_of(now + event(0, "hw_thermal", 3)) == {"gpu_throttled_ratio{gpu=0}": 0.0}


def test_the_code_of_an_error_is_told_by_a_gauge_or_by_counts() -> None:
    assert signals_of('DCGM_FI_DEV_XID_ERRORS{gpu="0",err_code="79",err_msg="GPU has fallen off the bus"} 79\n') == {
        "gpu_xid_code{gpu=0}": 79.0
    }
    two = "".join(f'DCGM_FI_DEV_XID_ERRORS{{gpu="0",err_code="{code}"}} {code}\n' for code in (0, 79))
    assert signals_of(two) == {"gpu_xid_code{gpu=0}": 79.0}
    count = 'DCGM_EXP_XID_ERRORS_COUNT{{gpu="{}",xid="{}"}} {}\n'.format
    none = 'DCGM_EXP_XID_ERRORS_COUNT{gpu="1"} 0\n'
    assert signals_of(count(0, 13, 40) + count(0, 48, 1) + count(0, 79, 0) + none) == {
        "gpu_xid_code{gpu=0}": 48.0,
        "gpu_xid_code{gpu=1}": 0.0,
    }


def test_memory_is_known_in_all_from_its_parts() -> None:
    def memory(**mib: int) -> Mapping[str, float]:
        known = signals_of("".join(f'DCGM_FI_DEV_FB_{part.upper()}{{gpu="0"}} {size}\n' for part, size in mib.items()))
        return {name: known.get(f"gpu_memory_{name}{{gpu=0}}", -1) for name in ("total_bytes", "used_ratio")}

    assert memory(used=30, free=70) == {"total_bytes": 100 * 2**20, "used_ratio": 0.3}
    assert memory(used=30, free=70, reserved=20) == {"total_bytes": 120 * 2**20, "used_ratio": 0.3}
    assert memory(used=30, total=120) == {"total_bytes": 120 * 2**20, "used_ratio": 0.25}
    assert memory(used=30) == {"total_bytes": -1, "used_ratio": -1}
    assert memory(used=0, free=0) == {"total_bytes": 0, "used_ratio": -1}


def test_counters_of_the_hardware_become_rates(server: PageServer) -> None:
    def dcgm(energy_mj: int, thermal_ns: int, power_ns: int) -> Answer:
        return page(
            f'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu="0"}} {energy_mj}\n'
            f'DCGM_FI_DEV_THERMAL_VIOLATION{{gpu="0"}} {thermal_ns}\nDCGM_FI_DEV_POWER_VIOLATION{{gpu="0"}} {power_ns}\n'
        )

    watch = Watch.of(server.url("/metrics"))
    server.answers = {"/metrics": dcgm(1_000_000, 0, 0)}
    watch.tick()
    server.answers = {"/metrics": dcgm(1_600_000, 300_000_000, 100_000_000)}
    found = watch.signals(watch.tick(2.0))
    assert found["gpu_energy_watts{gpu: 0}"] == 300.0
    assert found["gpu_throttled_ratio{gpu: 0}"] == pytest.approx(0.2)
    watch.close()
