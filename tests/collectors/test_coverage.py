"""What a coverage report says of a page, to people and to programs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from collectors.normalise import NORMALISERS
from recwatch.core.canonical import SIGNALS
from tests.collectors.reports import DUMPS, OWN, content, gap, report, rows, text
from tests.collectors.scenes import Recommender

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("kind", [*sorted(set(NORMALISERS) - {"recommender_ref", "ray_node"}), "unknown"])
def test_the_report_of_each_kind_is_the_golden_file(kind: str) -> None:
    golden = GOLDEN / f"coverage_{kind}.txt"
    assert text(OWN / f"{kind}.txt", 80) == golden.read_text(), (
        f"look at the change, then write what the command shows at 80 columns into {golden.name}"
    )


@pytest.mark.parametrize("page", [*sorted(OWN.glob("*.txt")), *sorted(DUMPS.glob("*.txt"))], ids=lambda page: page.name)
@pytest.mark.parametrize("width", [80, 120])
def test_every_report_fits_its_terminal_and_names_all_that_is_known(page: Path, width: int) -> None:
    shown = text(page, width)
    assert max(map(len, shown.splitlines())) <= width
    assert all(found.signal in shown for found in report(page).figures if found.stable and found.signal in SIGNALS)


def test_the_reference_recommender_is_known_from_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_text(Recommender().text())
    assert [server["kind"] for server in content(page)["servers"]] == ["recommender_ref"]
    assert {"answer_quality_ratio", "queue_depth", "replicas"} <= {row["signal"] for row in content(page)["signals"]}


def test_every_signal_is_either_told_or_its_absence_explained() -> None:
    for page in OWN.glob("*.txt"):
        told = {row["signal"] for row in content(page)["signals"]} & set(SIGNALS)
        not_known = [gap["signal"] for gap in content(page)["not_known"]]
        assert sorted([*told, *not_known]) == sorted(set(SIGNALS) - {"targets_up_ratio"})
        assert all(gap["why"] for gap in content(page)["not_known"] if gap["state"] != "second_scrape")


def test_a_quantile_beyond_the_last_bucket_is_a_lower_bound_that_may_lie_below_the_mean() -> None:
    (p99,), (mean,) = rows("vllm", "latency_p99_seconds"), rows("vllm", "latency_mean_seconds")
    assert (p99["value"], p99["flags"]) == (1.0, ["lower_bound"])
    assert p99["value"] < mean["value"]
    assert rows("vllm", "latency_p50_seconds")[0]["flags"] == []


def test_a_quantile_of_a_summary_is_of_its_instance_and_never_of_all() -> None:
    (of_one,) = rows("triton", "queue_wait_p99_seconds", model="ranker", version="1")
    assert (of_one["value"], of_one["flags"]) == (pytest.approx(0.0215), ["one_instance"])
    assert of_one["sources"] == [
        {"metric": "nv_inference_queue_summary_us", "labels": {"model": "ranker", "version": "1", "quantile": "0.99"}}
    ]


def test_what_nobody_asked_for_yet_is_undefined_and_not_zero() -> None:
    assert rows("triton", "latency_mean_seconds", model="towers", version="1") == []
    assert rows("vllm", "first_token_p99_seconds") == []
    assert gap("vllm", "first_token_p99_seconds")["state"] == "undefined"
    assert "no +Inf bucket" in gap("vllm", "iteration_tokens_p99")["why"]
    assert "no reading" in gap("dcgm", "gpu_memory_temperature_celsius")["why"]


def test_what_the_server_could_tell_comes_with_its_setting() -> None:
    summaries = gap("triton", "latency_p99_seconds")
    assert (summaries["state"], summaries["setting"]) == (
        "missing",
        "--metrics-config summary_latencies=true, which costs throughput",
    )
    assert gap("dcgm", "gpu_throttled_ratio")["setting"] == "name it in the exporter's counters file (-f)"
    assert gap("triton", "requests_per_second")["state"] == "second_scrape"
    assert gap("vllm", "gpu_power_watts")["state"] == "elsewhere"


def test_figures_are_given_for_each_label_set_and_for_what_it_adds_up_to() -> None:
    found = {(): 512.0, (("model", "ranker"),): 512.0, (("model", "towers"),): 0.0}
    for labels, value in found.items():
        assert [row["value"] for row in rows("triton", "requests_total", **dict(labels))] == [value]
    (cores,) = (rows("node_exporter", "host_cpu_busy_ratio", cpu=cpu) for cpu in ("1",))
    assert cores[0]["value"] == pytest.approx(0.3)
    assert rows("node_exporter", "host_cpu_busy_ratio")[0]["value"] == pytest.approx(0.2)
    assert rows("ray_serve", "latency_mean_seconds", application="shop", deployment="Ranker")[0]["value"] == pytest.approx(
        4.3 / 190
    )


def test_an_instance_of_a_gpu_is_never_added_to_it() -> None:
    assert [row["labels"] for row in content(OWN / "dcgm.txt")["signals"] if row["signal"] == "gpu_engine_active_ratio"] == [
        {"gpu": "1", "host": "gpu-node-1", "mig": "7"},
        {"gpu": "1", "host": "gpu-node-1", "mig": "8"},
    ]
    (overshoot,) = rows("dcgm", "gpu_sm_active_ratio", gpu="1", host="gpu-node-1", mig="8")
    assert (overshoot["value"], overshoot["flags"]) == (1.0, ["clipped"])


def test_what_another_metric_tells_too_is_there_and_does_not_count() -> None:
    counted, not_counted = rows("ray_serve", "errors_total")
    assert (counted["value"], counted["flags"]) == (10.0, [])
    assert (not_counted["value"], not_counted["flags"]) == (10.0, ["not_counted"])
    assert {source["metric"] for source in not_counted["sources"]} == {"ray_serve_num_http_error_requests"}


def test_a_row_that_cannot_be_read_is_counted_and_the_rest_is_kept() -> None:
    found = content(OWN / "dcgm.txt")
    assert found["dropped"] == [
        {"reason": "labels", "rows": 1, "example": 'DCGM_FI_DEV_DEC_UTIL{gpu="0",UUID=GPU-11111111} 0'}
    ]
    assert found["samples"] == 15


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "0", "1e308"])
@pytest.mark.parametrize("page", sorted(OWN.glob("*.txt")), ids=lambda page: page.stem)
def test_whatever_values_a_page_has_there_is_a_report_without_a_figure_that_is_none(
    page: Path, value: str, tmp_path: Path
) -> None:
    odd = tmp_path / page.name
    rows = (row if row.startswith("#") else f"{row.rpartition(' ')[0]} {value}" for row in page.read_text().splitlines())
    odd.write_text("".join(f"{row}\n" for row in rows))
    assert all(math.isfinite(row["value"]) for row in content(odd)["signals"])
    assert max(map(len, text(odd, 80).splitlines())) <= 80


def test_an_unknown_page_tells_what_is_certain_and_what_is_needed() -> None:
    found = content(OWN / "unknown.txt")
    assert found["servers"] == []
    assert found["versions"] == ["4.2.0 (shop_build_info)"]
    assert [row["signal"] for row in found["signals"]] == ["process_memory_bytes", "process_cpu_seconds_total"]
    needs = {one["metric"]: (one["needs"], one["certain"]) for one in found["unplaced"]}
    assert needs == {
        "shop_orders_total": (["rule"], {}),
        "shop_checkout_seconds": (["rule"], {"count": 40.0, "mean": 0.5}),
        "shop_temperature": (["unit", "rule"], {"value": 21.5}),
        "shop_doors": (["type", "unit", "rule"], {"value": 3.0}),
        "shop_build_info": ([], {"value": 1.0}),
    }


def test_the_document_tells_every_key_of_the_json() -> None:
    document = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text()
    found = content(OWN / "dcgm.txt")
    keys = {*found, *found["signals"][0], *found["not_known"][0], *found["unplaced"][0], *found["dropped"][0]}
    assert {key for key in keys if f"`{key}`" not in document} == set()
