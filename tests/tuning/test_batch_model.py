from __future__ import annotations

import numpy as np
import pytest

from recwatch.core.proposals import Interval
from tuning.model import BatchTime, Load, fit_batch_time
from tuning.policies.batching import Server
from tuning.simulation import Batcher, simulate


def noisy_means(
    sizes: np.ndarray[tuple[int], np.dtype[np.float64]], noise: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    random = np.random.default_rng(3)
    return np.asarray((0.007 + 0.0005 * sizes) * (1.0 + noise * random.standard_normal(len(sizes))))


def test_alpha_and_beta_are_recovered_from_noisy_intervals() -> None:
    sizes = np.linspace(1.0, 16.0, 60)
    fit = fit_batch_time(sizes, noisy_means(sizes, 0.01), np.full(60, 100.0))
    assert fit.beta_s.low < 0.0005 < fit.beta_s.high
    assert fit.beta_s.mid == pytest.approx(0.0005, rel=0.15)
    assert fit.alpha_s(fit.beta_s.mid) == pytest.approx(0.007, rel=0.1)


def test_the_scatter_of_the_intervals_is_that_of_a_batch() -> None:
    sizes = np.linspace(1.0, 4.0, 200)
    assert fit_batch_time(sizes, noisy_means(sizes, 0.1), np.full(200, 80.0)).cv == pytest.approx(0.1, rel=0.2)


def test_outlying_intervals_do_not_bend_the_line() -> None:
    sizes = np.linspace(1.0, 16.0, 60)
    seconds = noisy_means(sizes, 0.01)
    seconds[[3, 20, 55]] *= 5.0
    assert fit_batch_time(sizes, seconds, np.full(60, 100.0)).beta_s.mid == pytest.approx(0.0005, rel=0.2)


def test_sizes_that_hardly_differ_leave_beta_open() -> None:
    sizes = np.linspace(1.99, 2.0, 30)
    fit = fit_batch_time(sizes, noisy_means(sizes, 0.02), np.full(30, 100.0))
    most = fit.seconds / fit.size
    assert fit.beta_s.high - fit.beta_s.low > 0.4 * most
    assert fit.beta_s.low >= 0.0
    assert fit.beta_s.high <= most


def test_equal_sizes_give_the_prior_of_half_a_normal() -> None:
    fit = fit_batch_time(np.full(10, 2.0), np.full(10, 0.008), np.full(10, 50.0))
    assert (fit.beta_s.low, fit.beta_s.mid, fit.beta_s.high) == pytest.approx((0.0000627, 0.000674, 0.00196), rel=0.01)


def test_a_machine_that_slows_with_the_load_does_not_pass_for_a_steep_batch_time() -> None:
    sizes = np.repeat([1.3, 2.0], [40, 5])
    seconds = np.where(sizes > 1.5, 1.2, 1.0) * noisy_means(sizes, 0.01)
    confounded = (1.2 * 0.008 - 0.00765) / 0.7
    assert fit_batch_time(sizes, seconds, np.full(45, 100.0)).beta_s.mid < confounded / 2


@pytest.mark.parametrize("utilisation", [0.3, 0.5, 0.8])
def test_constant_service_times_wait_as_in_m_d_1(utilisation: float) -> None:
    wait = simulate(Batcher(1, 0.01, 0.0), utilisation / 0.01, requests=400_000, seed=7).wait_s.mean()
    assert wait == pytest.approx(utilisation * 0.01 / (2 * (1 - utilisation)), rel=0.05)


@pytest.mark.parametrize("utilisation", [0.3, 0.5, 0.7])
def test_exponential_service_times_wait_as_in_m_m_1(utilisation: float) -> None:
    wait = simulate(Batcher(1, 0.01, 0.0, cv=1.0), utilisation / 0.01, requests=400_000, seed=7).wait_s.mean()
    assert wait == pytest.approx(utilisation * 0.01 / (1 - utilisation), rel=0.05)


def test_two_replicas_wait_as_in_m_m_2() -> None:
    load_erlang, service_s = 1.2, 0.01
    utilisation = load_erlang / 2
    delayed = load_erlang**2 / 2 / (1 - utilisation) / (1 + load_erlang + load_erlang**2 / 2 / (1 - utilisation))
    expected = delayed * service_s / (2 * (1 - utilisation))
    wait = simulate(Batcher(1, service_s, 0.0, 2, cv=1.0), load_erlang / service_s, requests=400_000, seed=5).wait_s.mean()
    assert wait == pytest.approx(expected, rel=0.05)


def test_the_same_seed_gives_the_same_latencies() -> None:
    batcher = Batcher(4, 0.007, 0.0005, cv=0.2)
    assert np.array_equal(simulate(batcher, 300, 2_000, 1).latency_s, simulate(batcher, 300, 2_000, 1).latency_s)


def test_a_full_queue_sheds_what_exceeds_the_capacity() -> None:
    outcome = simulate(Batcher(2, 0.007, 0.0005, queue_limit=50), load_rps=500, requests=50_000)
    assert outcome.shed_ratio == pytest.approx(0.5, abs=0.02)
    assert outcome.wait_s.max() <= 50 / 250 + 0.016


def test_waiting_for_a_batch_to_fill_delays_a_lone_request() -> None:
    prompt = simulate(Batcher(8, 0.005, 0.0), load_rps=5, requests=2_000).latency_s
    patient = simulate(Batcher(8, 0.005, 0.0, delay_s=0.02), load_rps=5, requests=2_000).latency_s
    assert np.median(prompt) == pytest.approx(0.005, rel=0.01)
    assert np.median(patient) == pytest.approx(0.025, rel=0.01)


def test_a_larger_batch_is_predicted_to_take_a_load_that_a_small_one_cannot() -> None:
    server = Server(
        BatchTime(1.6, 0.0078, Interval(0.0003, 0.0005, 0.0007), 0.1), Load(Interval(295.0, 300.0, 305.0), 0.0), 1
    )
    assert server.utilisation(2) == pytest.approx(1.2)
    assert server.utilisation(4) == pytest.approx(0.675)
    promised = server.predict(4, quality=None)
    assert promised.p99_ms.low <= promised.p99_ms.mid <= promised.p99_ms.high < 150.0
    assert promised.throughput_rps.mid == 300.0
    assert server.predict(2, quality=None).p99_ms.mid > 1_000.0


def test_cache_hits_move_the_quantile_and_the_load() -> None:
    load = Load(Interval(90.0, 100.0, 110.0), hit_ratio=0.5)
    assert load.batched_rps(100.0) == 50.0
    assert load.batched_quantile == pytest.approx(0.98)
    assert Load(load.offered_rps, hit_ratio=1.0).batched_quantile == 0.0
