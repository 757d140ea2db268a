"""Pages of GPU exporters, of the node exporter and of Ray's nodes: recorded ones, and one of our own for each trap."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from collectors.endpoint import Endpoint
from collectors.exposition import Line, PageParser
from collectors.fleet import grains, made
from collectors.layout import layout_of
from collectors.measures import Key
from collectors.tally import Tally
from recwatch.core.canonical import SIGNALS
from tests.collectors.scenes import Watch
from tests.collectors.server import Answer, PageServer, page, serving
from tests.collectors.test_normalise import DUMPS, needs_pages

KINDS = ("amd", "dcgm", "node_exporter")

OURS = {
    "gpu.busy": "gpu_busy_ratio",
    "gpu.engine_active": "gpu_engine_active_ratio",
    "gpu.dram_active": "gpu_dram_active_ratio",
    "gpu.memory_used": "gpu_memory_used_bytes",
    "gpu.memory_free": "gpu_memory_free_bytes",
    "gpu.memory_reserved": "gpu_memory_reserved_bytes",
    "gpu.memory_used_ratio": "gpu_memory_used_ratio",
    "gpu.sm_clock": "gpu_sm_clock_hertz",
    "gpu.memory_clock": "gpu_memory_clock_hertz",
    "gpu.power": "gpu_power_watts",
    "gpu.power_limit": "gpu_power_limit_watts",
    "gpu.energy_total": "gpu_energy_joules",
    "gpu.temperature": "gpu_temperature_celsius",
    "gpu.temperature_memory": "gpu_memory_temperature_celsius",
    "gpu.pcie_tx_rate": "gpu_pcie_tx_bytes_per_second",
    "gpu.pcie_tx_total": "gpu_pcie_tx_bytes",
    "gpu.link_tx_total": "gpu_link_tx_bytes",
    "gpu.link_rx_total": "gpu_link_rx_bytes",
    "cpu.busy": "host_cpu_busy_ratio",
    "memory.total": "host_memory_total_bytes",
    "memory.free": "host_memory_free_bytes",
    "memory.used": "host_memory_used_bytes",
    "net.received_total": "host_network_received_bytes",
    "disk.read_total": "host_disk_read_bytes",
    "system.boot_time": "host_boot_time_seconds",
    "system.load1": "host_load1",
}
"""What the index calls a figure → our signal; or, of a counter, our quantity, which has grown by so much since its start."""


def fits(line: Line, hint: Mapping[str, str | None]) -> bool:
    """Whether a line is of what the hint names; `mig` null is the whole of a GPU."""
    asked = {("GPU_I_ID" if label == "mig" else label): value or "" for label, value in hint.items()}
    return all(line.labels.get(label, "") == value for label, value in asked.items())


def known_of(text: str, hint: Mapping[str, str | None] | None = None) -> Mapping[str, Mapping[str, float]]:
    """All that one page tells of what the hint names: signals, and totals of counters, by name and then by labels."""
    parsed = PageParser().parse(text)
    rows = [row for row, line in enumerate(parsed.lines) if fits(line, hint or {})]
    layout = layout_of(
        tuple(parsed.lines[row] for row in rows), "shop", Endpoint.of("shop", "http://10.0.0.1:9400/metrics", {})
    )
    printed = [float(parsed.values[rows[row]]) for row in layout.rows]
    readable = [value not in layout.blanks for value in printed]
    levels = [(m.measure.key, m.measure.value(printed[m.position])) for m in layout.instants if readable[m.position]]
    totals: dict[Key, float] = defaultdict(float)
    for m in layout.hardware:
        if readable[m.position]:
            totals[m.measure.key] += m.measure.value(printed[m.position])
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (name, labels), total in totals.items():
        found[name][_short(labels)] = total
    tally = Tally.lifetime([(key, value) for key, value in levels if math.isfinite(value)], totals)
    for keep, names in grains(tally).items():
        for (name, labels), value in made(tally.keeping(keep), names).items():
            found[name][_short(labels)] = value
    return found


def _short(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels)


def facts() -> Iterator[Any]:
    if not DUMPS.is_dir():
        return
    for described in map(json.loads, (DUMPS / "index.jsonl").read_text().splitlines()):
        for number, fact in enumerate(described["facts"]):
            if described["kind"] in KINDS or (described["kind"] == "ray" and not fact["signal"].startswith("server.")):
                yield pytest.param(described["file"], fact, id=f"{described['file']}-{number}-{fact['signal']}")


@needs_pages
@pytest.mark.parametrize(("file", "fact"), list(facts()))
def test_every_figure_of_a_recorded_page_is_met(file: str, fact: Mapping[str, Any]) -> None:
    known = known_of((DUMPS / file).read_text(), fact["series_hint"])
    told = known.get(OURS[fact["signal"]], {})
    if fact.get("must_be_absent"):
        assert told == {}
    else:
        assert list(told.values()) == [pytest.approx(fact["expected"], rel=1e-9)]


def signals_of(text: str) -> Mapping[str, float]:
    """The signals alone, as `name{labels}`."""
    known = known_of(text)
    return {
        f"{name}{{{labels}}}" if labels else name: value
        for name, by_labels in known.items()
        for labels, value in by_labels.items()
        if name in SIGNALS
    }


GPU = 'gpu="0",UUID="GPU-1",Hostname="n1"'


# --- DCGM ---------------------------------------------------------------------------------------------------------------


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


# --- AMD ----------------------------------------------------------------------------------------------------------------

AMD_CARD = 'gpu_id="3",hostname="n1",serial_number="x",gpu_partition_id="0",gpu_compute_partition_type="spx"'


@pytest.mark.parametrize("prefix", ["", "amd_", "amd"])
def test_amd_names_may_carry_a_prefix(prefix: str) -> None:
    text = "".join(
        f"{prefix}{name}{{{AMD_CARD}}} {value}\n"
        for name, value in (("gpu_gfx_activity", 97), ("gpu_used_vram", 283), ("gpu_energy_consumed", 3.5e9))
    )
    known = known_of(text)
    assert known["gpu_busy_ratio"] == {"gpu=3": 0.97}
    assert known["gpu_memory_used_bytes"] == {"gpu=3": 283 * 2**20}
    assert known["gpu_energy_joules"] == {"gpu=3,host=n1": pytest.approx(3500.0)}


def test_amd_shows_the_sensor_that_a_card_has() -> None:
    def card(gpu: int, **printed: float) -> str:
        return "".join(f'gpu_{name}{{gpu_id="{gpu}"}} {value}\n' for name, value in printed.items())

    mi300 = card(0, package_power=748, average_package_power=0, junction_temperature=76, edge_temperature=0)
    mi200 = card(1, package_power=65535, average_package_power=91, junction_temperature=0, edge_temperature=41)
    both = card(2, average_package_power=0, power_usage=55)
    assert signals_of(mi300 + mi200) == {
        "gpu_power_watts{gpu=0}": 748.0,
        "gpu_power_watts{gpu=1}": 91.0,
        "gpu_temperature_celsius{gpu=0}": 76.0,
        "gpu_temperature_celsius{gpu=1}": 41.0,
    }
    assert signals_of(card(2, power_usage=55)) == {"gpu_power_watts{gpu=2}": 55.0}
    assert signals_of(both) == {"gpu_power_watts{gpu=2}": 55.0}


@pytest.mark.parametrize("kind", ["system", "GPU_CLOCK_TYPE_SYSTEM"])
def test_the_clocks_of_an_amd_card_are_told_apart_and_those_of_its_dies_averaged(kind: str) -> None:
    clock = 'gpu_clock{{gpu_id="0",clock_type="{}",clock_index="{}"}} {}\n'.format
    text = clock(kind, 0, 2100) + clock(kind, 1, 1900) + clock("memory", 8, 900) + clock("video", 9, 29)
    assert signals_of(text) == {"gpu_sm_clock_hertz{gpu=0}": 2e9, "gpu_memory_clock_hertz{gpu=0}": 9e8}


def test_the_worst_reason_says_how_much_an_amd_card_is_held_down() -> None:
    text = "".join(
        f'gpu_violation_{why}_residency_percentage{{gpu_id="0"}} {share}\n'
        for why, share in (("ppt", 40), ("hbm_thermal", 5))
    )
    assert signals_of(f'gpu_gfx_activity{{gpu_id="0"}} 90\n{text}')["gpu_throttled_ratio{gpu=0}"] == 0.4


# --- the host -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        (
            "node_cpu_seconds_total",
            "node_memory_MemTotal_bytes",
            "node_network_receive_bytes_total",
            "node_disk_read_bytes_total",
        ),
        ("node_cpu", "node_memory_MemTotal", "node_network_receive_bytes", "node_disk_bytes_read"),
    ],
)
def test_the_node_exporter_before_and_after_its_renaming(names: tuple[str, str, str, str]) -> None:
    cpu, memory, received, read = names
    text = "".join(
        f'{cpu}{{cpu="0",mode="{m}"}} {s}\n' for m, s in (("idle", 60), ("iowait", 5), ("user", 35), ("guest", 30))
    )
    text += f"{memory} 1000\n"
    text += "".join(f'{received}{{device="{d}"}} {n}\n' for d, n in (("eth0", 7), ("lo", 90), ("veth1a", 7), ("br-77", 7)))
    text += "".join(f'{read}{{device="{d}"}} {n}\n' for d, n in (("sda", 5), ("sda1", 5), ("dm-0", 5), ("nvme0n1", 4)))
    known = known_of(text)
    assert known["host_cpu_busy_ratio"] == {"": 0.4}
    assert known["host_memory_total_bytes"] == {"": 1000.0}
    assert known["host_network_received_bytes"] == {"device=eth0": 7.0}
    assert known["host_disk_read_bytes"] == {"device=sda": 5.0, "device=nvme0n1": 4.0}


def test_memory_in_use_is_what_is_not_available() -> None:
    text = "node_memory_MemTotal_bytes 1000\nnode_memory_MemAvailable_bytes 700\nnode_memory_MemFree_bytes 100\n"
    assert signals_of(text)["host_memory_used_bytes"] == 300.0


def test_gpus_of_a_ray_node_have_an_index_and_mebibytes() -> None:
    gpu = 'ip="10.0.0.2",GpuIndex="1",GpuDeviceName="H100"'
    text = (
        f"ray_node_gpus_utilization{{{gpu}}} 75.5\nray_node_gram_used{{{gpu}}} 81920\nray_node_gram_available{{{gpu}}} 0\n"
        'ray_node_gpus_utilization{ip="10.0.0.2"} 180\n'
    )
    assert signals_of(text) == {
        "gpu_busy_ratio{gpu=1}": 0.755,
        "gpu_memory_used_bytes{gpu=1}": 80 * 2**30,
        "gpu_memory_free_bytes{gpu=1}": 0.0,
        "gpu_memory_total_bytes{gpu=1}": 80 * 2**30,
        "gpu_memory_used_ratio{gpu=1}": 1.0,
    }


# --- from scrape to scrape ----------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        yield running


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
