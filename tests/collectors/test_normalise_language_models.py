"""The traps of the pages of servers of language models, each on rows of our own."""

import pytest

from tests.collectors.pages import PageRead, rows


@pytest.mark.parametrize("prefix", ["vllm:", "ray_vllm:", "ray_vllm_", "vllm_", ""])
def test_vllm_is_read_in_all_its_spellings(prefix: str) -> None:
    page = PageRead(
        f'{prefix}num_requests_waiting{{model_name="m",WorkerId="a"}} 3\n'
        f'{prefix}request_success_total{{model_name="m",finished_reason="stop"}} 8\n'
        f'{prefix}request_success_total{{model_name="m",finished_reason="length"}} 2\n'
        + rows(f"{prefix}time_to_first_token_seconds", 'model_name="m"', {"0.5": 6, "+Inf": 10}, 4)
    )
    assert page.layout.kinds == ("vllm",)
    assert page.signal("queue_depth", model="m") == 3
    assert page.total("requests", model="m") == 10
    assert page.signal("first_token_mean_seconds", model="m") == pytest.approx(0.4)


def test_a_metric_by_its_old_and_its_new_name_counts_once() -> None:
    itl, tpot = "vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"
    page = PageRead(
        'vllm:gpu_cache_usage_perc{model_name="m",engine="0"} 0.5\nvllm:kv_cache_usage_perc{model_name="m",engine="0"} 0.5\n'
        'vllm:gpu_prefix_cache_hits_total{model_name="m"} 3\nvllm:prefix_cache_hits_total{model_name="m"} 3\n'
        'vllm:gpu_prefix_cache_queries_total{model_name="m"} 4\nvllm:prefix_cache_queries_total{model_name="m"} 4\n'
        + rows(tpot, 'model_name="m"', {"0.5": 6, "+Inf": 10}, 4)
        + rows(itl, 'model_name="m"', {"0.5": 6, "+Inf": 10}, 4)
    )
    assert page.level("kv_cache_used_ratio") == [0.5]
    assert (page.total("prefix_cache_hits"), page.total("prefix_cache_queries")) == (3, 4)
    assert page.signal("prefix_cache_hit_ratio", model="m") == 0.75
    assert (page.total("output_token_seconds_count"), page.total("output_token_seconds_sum")) == (10, 4)


def test_engines_of_one_server_add_up_their_requests_and_average_their_caches() -> None:
    page = PageRead(
        "".join(
            f'vllm:num_requests_running{{model_name="m",engine="{engine}"}} {running}\n'
            f'vllm:kv_cache_usage_perc{{model_name="m",engine="{engine}"}} {usage}\n'
            for engine, running, usage in ((0, 3, 0.2), (1, 5, 0.6))
        )
    )
    assert page.signal("requests_running", model="m") == 8
    assert page.signal("kv_cache_used_ratio", model="m") == pytest.approx(0.4)


def test_minus_one_is_undefined() -> None:
    assert PageRead('vllm:gpu_prefix_cache_hit_rate{model_name="m"} -1.0\n').signal("prefix_cache_hit_ratio") is None


def test_total_may_be_part_of_a_histograms_name() -> None:
    name = "vllm:iteration_tokens_total"
    whole = rows(name, 'model_name="m"', {"8": 90, "64": 100, "+Inf": 100}, 700)
    page = PageRead(f"# TYPE {name} histogram\n{whole}")
    assert page.signal("iteration_tokens_mean", model="m") == 7
    assert page.signal("iteration_tokens_p99", model="m") == pytest.approx(8 + 56 * 0.9)


def test_a_histogram_cut_off_before_its_last_bucket_tells_no_quantile() -> None:
    excerpt = (
        'vllm:iteration_tokens_total_bucket{model_name="m",le="8"} 90\nvllm:iteration_tokens_total_sum{model_name="m"} 9\n'
    )
    page = PageRead(excerpt)
    assert page.total("iteration_tokens_bucket", le="8.0") == 90
    assert (page.signal("iteration_tokens_p99"), page.signal("iteration_tokens_mean")) == (None, None)


def test_milliseconds_become_seconds_in_sums_and_in_bounds() -> None:
    page = PageRead(rows("vllm:model_execute_time_milliseconds", 'model_name="m"', {"250": 5, "500": 10, "+Inf": 10}, 2500))
    assert page.signal("stage_latency_mean_seconds", stage="execute") == 0.25
    assert page.signal("stage_latency_p99_seconds", stage="execute") == pytest.approx(0.25 + 0.25 * 4.9 / 5)


def test_requests_are_those_finished_where_nothing_counts_them_itself() -> None:
    finished = rows("vllm:e2e_request_latency_seconds", 'model_name="m"', {"0.5": 6, "+Inf": 10}, 4)
    assert PageRead(finished).total("requests", model="m") == 10
    counted = 'vllm:request_success_total{model_name="m",finished_reason="stop"} 7\n'
    assert PageRead(finished + counted).total("requests", model="m") == 7


def test_requests_that_ended_in_an_error_are_failures() -> None:
    page = PageRead(
        'vllm:request_success_total{model_name="m",finished_reason="stop"} 9\n'
        'vllm:request_success_total{model_name="m",finished_reason="error"} 1\n'
    )
    assert (page.total("requests", model="m"), page.total("requests_failed", model="m")) == (10, 1)


def test_nim_counts_failures_beside_successes() -> None:
    page = PageRead(
        'num_request_max{model_name="m"} 256\n'
        'request_success_total{model_name="m"} 9\nrequest_failure_total{model_name="m"} 1\n'
        'request_finish_total{finished_reason="stop",model_name="m"} 9\n'
    )
    assert (page.total("requests", model="m"), page.total("requests_failed", model="m")) == (10, 1)


def test_tensorrt_llms_own_server_is_named_after_vllm() -> None:
    page = PageRead(
        'trtllm_kv_cache_utilization{model_name="m"} 0.25\n'
        + rows("trtllm_e2e_request_latency_seconds", 'model_name="m"', {"0.5": 6, "+Inf": 10}, 4)
    )
    assert page.layout.kinds == ("trtllm",)
    assert page.signal("latency_mean_seconds", model="m") == pytest.approx(0.4)
    assert page.signal("kv_cache_used_ratio", model="m") == 0.25


@pytest.mark.parametrize(("label", "printed"), [("name", 12.5), ("model_name", 0.125)])
def test_sglangs_hit_rate_was_percent_while_the_models_label_was_name(label: str, printed: float) -> None:
    page = PageRead(f'sglang:cache_hit_rate{{{label}="m"}} {printed}\n')
    assert page.signal("prefix_cache_hit_ratio", model="m") == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("running", "waiting"), [("num_requests_running", "num_requests_waiting"), ("num_running_reqs", "num_queue_reqs")]
)
def test_sglang_renamed_its_queues(running: str, waiting: str) -> None:
    page = PageRead(f'sglang:{running}{{model_name="m"}} 5\nsglang:{waiting}{{model_name="m"}} 2\n')
    assert (page.signal("requests_running", model="m"), page.signal("queue_depth", model="m")) == (5, 2)


def test_sglangs_ranks_and_priorities_do_not_repeat_a_request() -> None:
    page = PageRead(
        "".join(
            f'sglang:num_queue_reqs{{model_name="m",dp_rank="{dp}",tp_rank="{tp}",priority="{priority}"}} {waiting}\n'
            for dp, waiting in ((0, 4), (1, 6))
            for tp in (0, 1)
            for priority in ("", "1")
        )
    )
    assert page.signal("queue_depth", model="m") == 10


def test_tgi_has_seconds_no_model_and_counters_without_total() -> None:
    page = PageRead(
        "tgi_request_count 14\ntgi_request_success 7\n"
        'tgi_request_failure{err="overloaded"} 1\ntgi_request_failure{err="validation"} 2\n'
        "tgi_queue_size 3\ntgi_batch_current_size 4\n"
        + rows("tgi_request_duration", "", {"0.5": 5, "+Inf": 7}, 3.5)
        + rows("tgi_request_queue_duration", "", {"0.5": 7, "+Inf": 7}, 0.7)
        + rows("tgi_request_input_length", "", {"100": 7, "+Inf": 7}, 350)
    )
    outcomes = [page.total(quantity) for quantity in ("requests", "requests_failed", "client_errors")]
    assert outcomes == [10, 1, 2]
    assert (page.signal("queue_depth"), page.signal("requests_running")) == (3, 4)
    assert (page.signal("latency_mean_seconds"), page.total("prompt_tokens")) == (0.5, 350)
    assert page.signal("stage_latency_mean_seconds", stage="queue") == pytest.approx(0.1)


def test_a_server_that_counts_failures_has_none_before_it_prints_their_counter() -> None:
    assert PageRead("tgi_request_success 7\n").total("requests_failed") == 0
    assert PageRead('vllm:request_success_total{model_name="m"} 7\n').total("requests_failed") is None
