"""Pages of several kinds of servers at once, and of none that is known."""

import pytest

from tests.collectors.pages import PageRead, rows

WORKERS = ('WorkerId="a",', 'WorkerId="b",')


def test_rays_counters_are_gauges_in_milliseconds_summed_over_workers() -> None:
    name = "ray_serve_deployment_processing_latency_ms"
    page = PageRead(
        "# TYPE ray_serve_num_http_requests gauge\n"
        + "".join(
            f'ray_serve_num_http_requests{{{worker}application="shop",route="/r",status_code="{code}"}} {count}\n'
            for worker in WORKERS
            for code, count in (("200", 4), ("404", 2), ("500", 1))
        )
        + "".join(
            rows(name, f'{worker}deployment="rank",replica="{worker[10]}"', {"10": 0, "20": n, "+Inf": n}, 15 * n)
            for worker, n in zip(WORKERS, (5, 15), strict=True)
        )
    )
    outcomes = [page.total(quantity, route="/r") for quantity in ("requests", "requests_failed", "client_errors")]
    assert outcomes == [14, 2, 4]
    assert page.signal("stage_latency_mean_seconds", deployment="rank") == pytest.approx(0.015)
    assert page.signal("stage_latency_p99_seconds", stage="rank") == pytest.approx(0.0199)


def test_ray_serve_told_a_status_only_of_errors_once() -> None:
    page = PageRead(
        'ray_serve_num_http_requests{route="/r",method="GET"} 10\n'
        'ray_serve_num_http_error_requests{route="/r",method="GET",error_code="500"} 3\n'
    )
    assert (page.total("requests"), page.total("requests_failed")) == (10, 3)
    newer = (
        'ray_serve_num_http_requests_total{route="/r",status_code="500"} 3\n'
        'ray_serve_num_http_error_requests_total{route="/r",error_code="500"} 3\n'
    )
    assert PageRead(newer).total("requests_failed") == 3


def test_the_proxy_in_front_tells_the_requests_and_the_engine_the_rest() -> None:
    page = PageRead(
        'ray_serve_num_http_requests{route="/v1",status_code="200"} 12\n'
        'ray_vllm_request_success_total{model_name="m",finished_reason="stop"} 10\n'
        'ray_vllm_kv_cache_usage_perc{model_name="m"} 0.5\n'
        'ray_vllm_num_requests_waiting{model_name="m"} 2\nray_serve_deployment_queued_queries{deployment="llm"} 1\n'
    )
    assert page.layout.kinds == ("ray_serve", "vllm")
    assert page.total("requests") == 12
    assert page.signal("kv_cache_used_ratio", model="m") == 0.5
    assert page.signal("queue_depth") == 3


def test_a_model_that_two_kinds_tell_of_counts_once() -> None:
    page = PageRead(
        'vllm:request_success_total{model="llm",version="1"} 5\n'
        'nv_inference_request_success{model="llm",version="1"} 5\nnv_inference_request_success{model="rank",version="1"} 7\n'
    )
    assert page.layout.kinds == ("vllm", "triton")
    assert (page.total("requests"), page.total("requests", model="llm"), page.total("requests", model="rank")) == (12, 5, 7)


def test_a_queue_proxy_shares_its_page_with_the_model_behind_it() -> None:
    page = PageRead(
        'revision_request_count{response_code="200",response_code_class="2xx"} 9\n'
        'revision_request_count{response_code="503",response_code_class="5xx"} 1\n'
        + rows("revision_request_latencies", 'response_code="200"', {"10": 0, "20": 10, "+Inf": 10}, 150)
        + rows("request_predict_seconds", 'model_name="m"', {"0.01": 9, "+Inf": 9}, 0.09)
    )
    assert (page.total("requests"), page.total("requests_failed")) == (10, 1)
    assert page.signal("latency_mean_seconds") == pytest.approx(0.015)
    assert page.signal("stage_latency_mean_seconds", stage="predict") == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["kn_queueproxy_app_duration_seconds", "kn_serving_invocation_duration_seconds"])
def test_knatives_newer_names_are_in_seconds(name: str) -> None:
    page = PageRead(
        rows(name, 'http_response_status_code="200"', {"0.01": 0, "0.02": 9, "+Inf": 9}, 0.135)
        + rows(name, 'http_response_status_code="503"', {"0.01": 0, "0.02": 1, "+Inf": 1}, 0.015)
    )
    assert page.layout.kinds == ("knative",)
    assert (page.total("requests"), page.total("requests_failed")) == (10, 1)
    assert page.signal("latency_mean_seconds") == pytest.approx(0.015)


HTTP = (
    "# TYPE http_requests_total counter\n"
    'http_requests_total{handler="/health",status="2xx"} 100\nhttp_requests_total{handler="/v1",status="5xx"} 5\n'
)


def test_counters_of_a_client_library_count_where_no_kind_counts_requests() -> None:
    page = PageRead(HTTP)
    assert page.layout.kinds == ()
    assert (page.total("requests"), page.total("requests_failed"), page.total("client_errors")) == (105, 5, None)
    both = PageRead(HTTP + 'vllm:request_success_total{model_name="m",finished_reason="stop"} 7\n')
    assert (both.total("requests"), both.total("requests_failed")) == (7, None)


def test_a_name_without_the_type_that_makes_it_certain_is_left_alone() -> None:
    assert PageRead(HTTP.replace("counter", "gauge")).total("requests") is None


def test_a_histogram_of_durations_counts_requests_where_no_counter_does() -> None:
    durations = "# TYPE http_request_duration_seconds histogram\n" + rows(
        "http_request_duration_seconds", 'method="GET",code="500"', {"0.1": 4, "+Inf": 4}, 0.2
    )
    assert (PageRead(durations).total("requests"), PageRead(durations).total("requests_failed")) == (4, 4)
    assert PageRead(HTTP + durations).total("requests") == 105
    assert PageRead(durations).signal("latency_mean_seconds") == pytest.approx(0.05)


def test_any_process_tells_its_memory_and_its_start() -> None:
    page = PageRead("process_resident_memory_bytes 1024\nprocess_cpu_seconds_total 9\nprocess_start_time_seconds 5\n")
    assert (page.signal("process_memory_bytes"), page.total("process_cpu_seconds")) == (1024, 9)
    assert page.level("process_start_seconds") == [5]


def test_redis_is_a_cache_whose_commands_are_no_requests() -> None:
    page = PageRead(
        "redis_keyspace_hits_total 30\nredis_keyspace_misses_total 10\nredis_commands_processed_total 99\n"
        "redis_memory_used_bytes 4096\nredis_evicted_keys_total 2\n"
    )
    assert (page.signal("cache_hit_ratio"), page.signal("cache_memory_bytes")) == (0.75, 4096)
    assert (page.total("cache_evictions"), page.total("requests")) == (2, None)
