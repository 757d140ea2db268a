import os
from pathlib import Path

import pytest

from collectors.endpoint import Endpoint
from collectors.exposition import Line, PageParser
from collectors.layout import layout_of
from collectors.measures import Key
from collectors.normalise import NORMALISERS, recognise
from tests.collectors.scenes import Recommender

DUMPS = Path(os.environ.get("RECWATCH_DATA", "absent"), "dumps")
needs_pages = pytest.mark.skipif(not DUMPS.is_dir(), reason="RECWATCH_DATA names no folder with dumps/*.txt")

PAGE = Endpoint.of("shop", "http://10.0.0.1:9/metrics", {})

EXAMPLES = {
    "recommender_ref": Recommender().text(),
    "knative": 'revision_request_count{response_code="200"} 5\n',
    "ray_serve": 'ray_serve_num_http_requests{route="/",status_code="200"} 5\n',
    "vllm": 'vllm:request_success_total{model_name="m"} 5\n',
    "sglang": 'sglang:num_requests_total{model_name="m"} 5\n',
    "tgi": "tgi_request_success 5\n",
    "trtllm": 'trtllm_request_success_total{model_name="m"} 5\n',
    "triton": 'nv_inference_request_success{model="m",version="1"} 5\n',
    "torchserve": 'ts_inference_requests_total{model_name="m",model_version="1.0",hostname="a",} 5\n',
    "tf_serving": ':tensorflow:serving:request_count{model_name="m",status="OK"} 5\n',
    "kserve": 'request_predict_seconds_count{model_name="m"} 5\n',
    "redis": "redis_keyspace_hits_total 5\n",
    "dcgm": 'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5\nDCGM_FI_DEV_THERMAL_VIOLATION{gpu="0"} 5\n',
    "amd": 'gpu_gfx_activity{gpu_id="0"} 5\n',
    "node_exporter": "node_load1 0.5\n",
    "ray_node": 'ray_node_cpu_utilization{ip="10.0.0.2"} 5\n',
}


def lines_of(text: str) -> tuple[Line, ...]:
    return PageParser().parse(text).lines


@pytest.mark.parametrize("kind", NORMALISERS)
def test_each_kind_recognises_its_own_page_and_speaks_of_known_quantities(kind: str) -> None:
    lines = lines_of(EXAMPLES[kind])
    assert recognise(lines) == (kind,)
    measures = NORMALISERS[kind].measures(lines)
    assert len(measures) == len(lines)
    assert any(measures)
    assert NORMALISERS[kind].measures(()) == []


def test_a_page_of_no_known_kind_is_kept_under_its_own_names() -> None:
    layout = layout_of(lines_of("go_goroutines 5\n"), "shop", PAGE)
    assert layout.kinds == ()
    assert [series.key for series in layout.series] == ['go_goroutines{instance="10.0.0.1:9",job="shop",service="shop"}']
    assert layout.process == layout.hardware == layout.instants == ()


def instants(text: str) -> dict[Key, float]:
    page = PageParser().parse(text)
    layout = layout_of(page.lines, "shop", PAGE)
    values = page.values[layout.rows]
    return {m.measure.key: m.measure.value(float(values[m.position])) for m in layout.instants}


GPU0 = (("gpu", "0"),)


@needs_pages
@pytest.mark.parametrize(
    ("name", "quantity", "expected"),
    [
        ("dcgm_a100_mig_nvidia_docs_untyped", "gpu_memory_used_bytes", 5080350720.0),
        ("dcgm_a100_mig_nvidia_docs_untyped", "gpu_power_watts", 409.692),
        ("dcgm_a100_mig_nvidia_docs_untyped", "gpu_busy_ratio", 0.99563),  # of the whole GPU, not of its instance
        ("dcgm_l4_kops", "gpu_power_watts", 16.365),
        ("dcgm_l4_kops", "gpu_temperature_celsius", 31.0),
        ("dcgm_readme_sentinel", "gpu_sm_clock_hertz", 139e6),
    ],
)
def test_recorded_gpus_read_as_they_were_read_by_eye(name: str, quantity: str, expected: float) -> None:
    found = instants((DUMPS / f"{name}.txt").read_text())
    whole = [v for (q, labels), v in found.items() if q == quantity and GPU0[0] in labels and "mig" not in dict(labels)]
    assert whole == [pytest.approx(expected)]


def test_percent_mebibytes_and_megahertz_become_base_units() -> None:
    text = "".join(
        f'DCGM_FI_DEV_{field}{{gpu="0",emulated="true"}} {value}\n'
        for field, value in (("GPU_UTIL", 42), ("FB_USED", 3), ("SM_CLOCK", 1410))
    )
    labels = (("emulated", "true"), ("gpu", "0"))
    assert instants(text) == {
        ("gpu_busy_ratio", labels): pytest.approx(0.42),
        ("gpu_memory_used_bytes", labels): 3 * 2**20,
        ("gpu_sm_clock_hertz", labels): 1.41e9,
    }


def test_rows_of_a_mig_instance_are_no_readings_of_the_gpu() -> None:
    assert instants('DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",GPU_I_ID="3"} 1\nDCGM_FI_DEV_GPU_UTIL{gpu="0"} 50\n') == {
        ("gpu_busy_ratio", GPU0): 0.5,
        ("gpu_busy_ratio", (*GPU0, ("mig", "3"))): 1.0,
        ("gpu_engine_active_ratio", (*GPU0, ("mig", "3"))): 1.0,
    }


def test_a_quantile_that_is_no_number_costs_its_row_only() -> None:
    text = "".join(
        f'nv_inference_request_summary_us{{model="m",version="1",quantile="{q}"}} 4000\n' for q in ("0.99", "x", "")
    )
    assert list(instants(text)) == [("latency_seconds_quantile", (("model", "m"), ("quantile", "0.99"), ("version", "1")))]
