"""Knobs, cache, batching, faults and the emulated GPU, each on a clock of the test's own."""

from __future__ import annotations

from threading import Event

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recommender_ref.batching import BatchQueue, QueueFull, Replicas, seconds_until_due
from recommender_ref.cache import ResultCache
from recommender_ref.faults import BadFault, Faults, Turn
from recommender_ref.gpu import SM_CLOCK_MHZ, Gpu, exposition
from recommender_ref.knobs import BadKnob, Knobs


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_batch": 0}, "max_batch is 0; give a whole number from 1 to 64"),
        ({"max_batch": 2.5}, "max_batch is 2.5; give a whole number from 1 to 64"),
        ({"max_batch": True}, "max_batch is True; give a whole number from 1 to 64"),
        ({"batch_delay_ms": float("nan")}, "batch_delay_ms is nan; give a number from 0 to 50"),
        ({"variant": "heavy"}, "variant is 'heavy'; give one of full, light"),
        ({"model_version": 2}, "model_version is 2; give one of v1, v2"),
        ({"max_bach": 2}, "There is no knob 'max_bach'; there are max_batch,"),
    ],
)
def test_a_bad_knob_is_refused_with_what_it_may_be(changes: dict[str, object], told: str) -> None:
    with pytest.raises(BadKnob) as refusal:
        Knobs().patched(changes)
    assert str(refusal.value).startswith(told)


def test_every_knob_is_described_with_its_value_and_bounds() -> None:
    described = Knobs(max_batch=8).described()
    assert described["max_batch"] == {"value": 8, "low": 1, "high": 64}
    assert described["model_version"] == {"value": "v1", "choices": ["v1", "v2"]}
    assert all(knob.keys() in ({"value", "low", "high"}, {"value", "choices"}) for knob in described.values())


def test_cache_forgets_by_age() -> None:
    clock = Clock()
    cache = ResultCache[str](clock)
    cache.put("user", "answer", entries=10)
    clock.now += 9.9
    assert cache.get("user", ttl_s=10.0) == "answer"
    clock.now += 0.1
    assert cache.get("user", ttl_s=10.0) is None


def test_cache_drops_the_least_recently_used() -> None:
    cache = ResultCache[int](Clock())
    cache.put("a", 1, entries=2)
    cache.put("b", 2, entries=2)
    cache.get("a", ttl_s=10.0)
    cache.put("c", 3, entries=2)
    assert [cache.get(key, ttl_s=10.0) for key in "abc"] == [1, None, 3]
    cache.put("d", 4, entries=0)
    assert [cache.get(key, ttl_s=10.0) for key in "acd"] == [None, None, None]


def test_a_replica_waits_for_company_no_longer_than_the_delay() -> None:
    assert seconds_until_due(0, 0.0, 4, 0.01) is None
    assert seconds_until_due(4, 0.0, 4, 0.01) == 0.0
    assert seconds_until_due(1, 0.02, 4, 0.01) == 0.0
    assert seconds_until_due(3, 0.004, 4, 0.01) == pytest.approx(0.006)


def test_a_full_queue_takes_no_more_and_batches_are_first_in_first_out() -> None:
    clock = Clock()
    queue = BatchQueue[str](lambda: Knobs(max_queue=3, max_batch=2, batch_delay_ms=0.0), clock)
    for job in "abc":
        queue.put(job)
    with pytest.raises(QueueFull):
        queue.put("d")
    clock.now += 0.5
    assert queue.take(lambda: False) == [(0.5, "a"), (0.5, "b")]
    assert queue.take(lambda: False) == [(0.5, "c")]
    assert queue.take(lambda: True) == []


def test_a_removed_replica_finishes_its_batch_and_no_job_is_lost() -> None:
    queue = BatchQueue[int](lambda: Knobs(max_batch=1, batch_delay_ms=0.0), Clock())
    started, released, all_done = Event(), Event(), Event()
    done: list[int] = []

    def run(replica: int, batch: object) -> None:
        started.set()
        assert released.wait(10)
        done.append(replica)
        if len(done) == 6:
            all_done.set()

    replicas = Replicas(queue, run)
    replicas.resize(3)
    for job in range(6):
        queue.put(job)
    assert started.wait(10)
    replicas.resize(1)
    assert len(replicas) == 1
    released.set()
    assert all_done.wait(10)
    replicas.stop()
    assert len(queue) == 0


def test_a_fault_begins_and_ends_when_it_should_and_each_is_told_once() -> None:
    faults = Faults()
    fault = faults.start("surge", now=10.0, start_in_s=5.0, duration_s=20.0, factor=None)
    assert (fault.started_at, fault.ends_at, fault.cause) == (15.0, 35.0, "load_surge")
    assert [fault.state(now) for now in (14.9, 15.0, 34.9, 35.0)] == ["scheduled", "active", "active", "ended"]
    told = {now: list(faults.turns(now)) for now in (14.0, 15.0, 16.0, 35.0, 36.0)}
    assert told == {14.0: [], 15.0: [Turn("surge", begins=True)], 16.0: [], 35.0: [Turn("surge", begins=False)], 36.0: []}


def test_a_fault_has_its_factor_only_while_it_is_active() -> None:
    faults = Faults()
    faults.start("throttle", now=0.0, start_in_s=1.0, duration_s=1.0, factor=2.5)
    assert [faults.factor("throttle", now) for now in (0.5, 1.5, 2.5)] == [1.0, 2.5, 1.0]


def test_a_fault_ended_early_is_told_and_may_start_again() -> None:
    faults = Faults()
    faults.start("deploy", now=0.0, start_in_s=0.0, duration_s=90.0, factor=None)
    assert list(faults.turns(0.0)) == [Turn("deploy", begins=True)]
    with pytest.raises(BadFault, match="not over yet"):
        faults.start("deploy", now=1.0, start_in_s=0.0, duration_s=1.0, factor=None)
    assert faults.end("deploy", now=2.0).ends_at == 2.0
    assert list(faults.turns(2.0)) == [Turn("deploy", begins=False)]
    assert faults.start("deploy", now=3.0, start_in_s=0.0, duration_s=1.0, factor=None).started_at == 3.0


@pytest.mark.parametrize(
    ("name", "factor", "told"),
    [("flood", None, "there are surge, deploy, throttle"), ("deploy", 2.0, "no factor"), ("surge", 0.5, "from 1 to 10")],
)
def test_a_fault_that_cannot_be_had_is_refused(name: str, factor: float | None, told: str) -> None:
    with pytest.raises(BadFault, match=told):
        Faults().start(name, now=0.0, start_in_s=0.0, duration_s=1.0, factor=factor)


def test_the_emulated_gpu_follows_work_and_clock() -> None:
    idle = Gpu(0.0).advanced(100.0, busy_ratio=0.0, slowdown=1.0)
    busy = idle.advanced(200.0, busy_ratio=0.8, slowdown=1.0)
    throttled = busy.advanced(300.0, busy_ratio=0.8, slowdown=2.0)
    assert [idle.watts, busy.watts] == pytest.approx([55.0, 55.0 + 0.8 * 245.0])
    assert throttled.watts == pytest.approx(55.0 + 0.8 * 245.0 / 4)
    assert throttled.sm_clock_mhz == SM_CLOCK_MHZ / 2
    assert (busy.throttled_ns, throttled.throttled_ns) == (0.0, 100e9)
    assert throttled.celsius > busy.celsius > idle.celsius
    assert throttled.energy_mj - busy.energy_mj == pytest.approx(throttled.watts * 100.0 * 1000)


def test_temperature_goes_63_percent_of_its_way_in_one_time_constant() -> None:
    start = Gpu(0.0)
    after = start.advanced(15.0, busy_ratio=0.0, slowdown=2.0)
    assert (after.celsius - start.celsius) / (88.0 - start.celsius) == pytest.approx(0.632, abs=0.001)


def test_the_gpu_page_parses_and_every_row_says_that_it_is_emulated() -> None:
    page = exposition(Gpu(0.0), memory_used_mib=100.0, hostname="here")
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert {sample.labels["emulated"] for sample in samples} == {"true"}
    assert {sample.name: sample.value for sample in samples}["DCGM_FI_DEV_FB_FREE"] == 16_284.0
    assert "\nDCGM_FI_DEV_THERMAL_VIOLATION{" in page
