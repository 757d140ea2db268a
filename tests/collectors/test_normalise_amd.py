"""Pages of AMD's device metrics exporter."""

from __future__ import annotations

import pytest

from tests.collectors.hardware_pages import known_of, signals_of

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
