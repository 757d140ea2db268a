"""The traps of the pages of model servers, each on rows of our own."""

import pytest

from collectors.fleet import Fleet
from collectors.measures import Key, Reading
from tests.collectors.pages import PageRead, rows

TRITON = (
    'nv_inference_request_success{model="m",version="1"} 10\n'
    'nv_inference_request_failure{model="m",version="1"} 2\n'
    'nv_inference_count{model="m",version="1"} 40\nnv_inference_exec_count{model="m",version="1"} 8\n'
    'nv_inference_request_duration_us{model="m",version="1"} 50000\n'
    'nv_inference_queue_duration_us{model="m",version="1"} 20000\n'
    'nv_inference_compute_infer_duration_us{model="m",version="1"} 24000\n'
)


def test_tritons_means_come_from_its_counters_without_summaries() -> None:
    page = PageRead(TRITON)
    assert page.signal("latency_mean_seconds", model="m") == pytest.approx(0.005)
    assert page.signal("stage_latency_mean_seconds", stage="queue") == pytest.approx(0.002)
    assert page.signal("stage_latency_mean_seconds", stage="compute_infer") == pytest.approx(0.0024)
    assert page.signal("batch_size_mean", model="m") == 5
    assert (page.total("requests", model="m"), page.total("requests_failed", model="m")) == (12, 2)


def test_tritons_means_come_from_summaries_where_its_counters_are_off() -> None:
    summary = 'nv_inference_queue_summary_us_sum{model="m",version="1"} 30000\n'
    success = 'nv_inference_request_success{model="m",version="1"} 10\n'
    assert PageRead(summary + success).signal("stage_latency_mean_seconds", stage="queue") == pytest.approx(0.003)
    assert PageRead(TRITON + summary).signal("stage_latency_mean_seconds", stage="queue") == pytest.approx(0.002)


def test_answers_from_tritons_cache_were_not_computed() -> None:
    page = PageRead(
        TRITON
        + 'nv_cache_num_hits_per_model{model="m",version="1"} 4\nnv_cache_num_misses_per_model{model="m",version="1"} 12\n'
        + "nv_cache_num_hits 4\nnv_cache_num_misses 12\n"
    )
    assert page.signal("stage_latency_mean_seconds", stage="compute_infer") == pytest.approx(0.004)
    assert page.signal("stage_latency_mean_seconds", stage="queue") == pytest.approx(0.002)
    assert (page.total("cache_hits"), page.signal("cache_hit_ratio", model="m")) == (4, 0.25)


def test_tritons_failures_have_one_row_a_reason_since_2024() -> None:
    page = PageRead(
        'nv_inference_request_failure{model="m",reason="REJECTED",version="1"} 3\n'
        'nv_inference_request_failure{model="m",reason="OTHER",version="1"} 1\n'
    )
    assert page.total("requests_failed", model="m") == 4


def test_quantiles_of_two_summaries_are_never_put_together() -> None:
    one = 'nv_inference_queue_summary_us{model="m",version="1",quantile="0.99"} 3000\n'
    assert PageRead(one).signal("stage_latency_p99_seconds", stage="queue") == pytest.approx(0.003)
    assert PageRead(one + one.replace('"1"', '"2"')).signal("stage_latency_p99_seconds", stage="queue") is None


@pytest.mark.parametrize("suffix", ["_bucket", ""])
def test_tritons_histogram_may_lack_the_suffix_of_its_buckets(suffix: str) -> None:
    name = "nv_inference_first_response_histogram_ms"
    page = PageRead(
        f'{name}{suffix}{{model="m",version="1", le="100"}} 0\n{name}{suffix}{{model="m",version="1", le="+Inf"}} 4\n'
        f'{name}_sum{{model="m",version="1"}} 1000\n{name}_count{{model="m",version="1"}} 4\n'
    )
    assert page.signal("first_token_mean_seconds", model="m") == 0.25
    assert page.signal("first_token_p99_seconds", model="m") == pytest.approx(0.1)


def test_tritons_gpu_rows_are_shares_bytes_and_joules() -> None:
    page = PageRead(
        'nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5\nnv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 1024\n'
        'nv_energy_consumption{gpu_uuid="GPU-1"} 7\n'
    )
    assert (page.signal("gpu_busy_ratio", gpu="GPU-1"), page.signal("gpu_memory_used_bytes", gpu="GPU-1")) == (0.5, 1024)
    assert page.total("gpu_energy_joules", gpu="GPU-1") == 7


def test_a_metrics_name_in_a_label_is_no_dimension_to_sum_over() -> None:
    request = 'nv_trt_llm_request_metrics{model="m",request_type="%s",version="1"} %d\n'
    block = 'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="%s",model="m",version="1"} %d\n'
    counts = (("waiting", 3), ("context", 1), ("scheduled", 5), ("max", 512), ("active", 8))
    blocks = (("tokens_per", 64), ("used", 100), ("free", 300), ("max", 400))
    page = PageRead("".join(request % one for one in counts) + "".join(block % one for one in blocks))
    assert (page.signal("queue_depth", model="m"), page.signal("requests_running", model="m")) == (3, 5)
    assert page.signal("kv_cache_used_ratio", model="m") == 0.25


TORCHSERVE = (
    'Requests2XX{Level="Host",Hostname="a",} 70.0\nRequests4XX{Level="Host",Hostname="a",} 20.0\n'
    'Requests5XX{Level="Host",Hostname="a",} 10.0\n'
    'ts_inference_requests_total{model_name="m",model_version="default",hostname="a",} 40.0\n'
    'ts_inference_latency_microseconds{model_name="m",model_version="default",hostname="a",} 80000.0\n'
    'ts_queue_latency_microseconds{model_name="m",model_version="default",hostname="a",} 20000.0\n'
)


def test_torchserves_requests_are_inferences_and_not_all_calls() -> None:
    page = PageRead(TORCHSERVE)
    outcomes = [page.total(quantity) for quantity in ("requests", "requests_failed", "client_errors")]
    assert outcomes == [40, 10, 20]
    assert page.signal("latency_mean_seconds", model="m") == pytest.approx(0.002)
    assert page.signal("stage_latency_mean_seconds", stage="queue") == pytest.approx(0.0005)


def test_torchserves_failures_are_a_share_of_all_calls() -> None:
    page = PageRead(TORCHSERVE)
    grown: dict[Key, float] = {
        (told, ()): page.total(told) or 0.0 for told in ("requests", "other_calls", "requests_failed")
    }
    assert Fleet().signals(1000, [Reading(1000, (), grown, 1.0)])["errors_ratio", ()] == 0.1


def test_torchserves_inferences_are_taken_from_no_calls_where_none_are_counted() -> None:
    page = PageRead("".join(row + "\n" for row in TORCHSERVE.splitlines() if row.startswith("ts_")))
    assert (page.total("requests"), page.total("other_calls")) == (40, None)


def test_torchserves_gauges_are_percent_mebibytes_and_milliseconds() -> None:
    page = PageRead(
        "# HELP WorkerLoadTime Torchserve prometheus gauge metric with unit: Milliseconds\n# TYPE WorkerLoadTime gauge\n"
        + TORCHSERVE
        + 'MemoryUsed{Level="Host",Hostname="a",} 1.5\nCPUUtilization{Level="Host",Hostname="a",} 25.0\n'
        'DiskAvailable{Level="Host",Hostname="a",} 107.0\n'
        'GPUMemoryUtilization{Level="Host",Hostname="a",} 12.5\n'
        'GPUUtilization{Level="Host",DeviceId="1",Hostname="a",} 75.0\n'
        'PredictionTime{ModelName="m",Level="Model",Hostname="a",} 2.0\n'
    )
    assert (page.signal("host_memory_used_bytes"), page.signal("host_cpu_busy_ratio")) == (1.5 * 2**20, 0.25)
    assert page.signal("host_filesystem_available_bytes", mountpoint="/") == 107.0 * 2**30
    assert (page.signal("gpu_memory_used_ratio"), page.signal("gpu_busy_ratio", gpu="1")) == (0.125, 0.75)
    assert page.signal("last_prediction_seconds", model="m") == pytest.approx(0.002)


def test_tensorflow_serving_starts_names_with_a_colon_and_counts_microseconds() -> None:
    count = ':tensorflow:serving:request_count{model_name="m",status="%s"} %d\n'
    page = PageRead(
        "".join(count % one for one in (("OK", 90), ("INTERNAL", 2), ("INVALID_ARGUMENT", 8)))
        + ":tensorflow:core:graph_runs{} 10\n:tensorflow:core:graph_run_time_usecs{} 50000\n"
        + rows(
            ":tensorflow:serving:request_latency",
            'model_name="m",API="Predict",entrypoint="GRPC"',
            {"10000": 0, "18000": 90, "+Inf": 90},
            1_080_000,
        )
    )
    outcomes = [page.total(quantity, model="m") for quantity in ("requests", "requests_failed", "client_errors")]
    assert outcomes == [100, 2, 8]
    assert page.signal("latency_mean_seconds", model="m") == pytest.approx(0.012)
    assert page.signal("latency_p50_seconds", model="m") == pytest.approx(0.014)
    assert page.signal("stage_latency_mean_seconds", stage="graph") == pytest.approx(0.005)


def test_kserves_four_steps_together_are_its_requests() -> None:
    step = 'request_%s_seconds_sum{model_name="m"} %s\nrequest_%s_seconds_count{model_name="m"} %d\n'
    steps = (("preprocess", 1.0, 10), ("predict", 8.0, 8), ("explain", 4.0, 2), ("postprocess", 1.0, 10))
    page = PageRead("".join(step % (name, total, name, count) for name, total, count in steps))
    assert page.total("requests", model="m") == 10
    assert page.signal("latency_mean_seconds", model="m") == pytest.approx(1.4)
    assert page.signal("stage_latency_mean_seconds", model="m", stage="predict") == 1
    assert page.signal("latency_p99_seconds", model="m") is None
