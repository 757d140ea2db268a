"""Each cause from the readings that tell it, and the ones it is easily taken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from alerting.diagnosis import diagnose
from alerting.rules import RULES
from alerting.view import Reading, View, view_of
from recwatch.core.canonical import SIGNALS, canonical_series
from recwatch.core.events import Anomaly, Cause, Mark
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, SeriesSet
from tests.alerting.scenarios import DEPLOY, DEPLOYED, HEALTHY, SERVICE, SURGE, THROTTLE, at

KNOB = Mark.of(SERVICE, "knob_change", at(118), "max_batch_size 32 -> 2", by="ana")


def view(
    changes: Mapping[str, float | None], *marks: Mark, lasted_s: int = 10, healthy: Mapping[str, float] = HEALTHY
) -> View:
    readings = {
        name: Reading(name, canonical_series(SERVICE, name).key, SIGNALS[name].unit, before, {**healthy, **changes}[name])
        for name, before in healthy.items()
    }
    anomalous = frozenset(n for n in changes if changes[n] != healthy[n])
    return View(SERVICE, at(123), at(123 + lasted_s), readings, marks, anomalous)


TROUBLES = [
    pytest.param(SURGE, (), Cause.LOAD_SURGE, id="surge"),
    pytest.param(SURGE, (DEPLOYED,), Cause.LOAD_SURGE, id="surge just after a deploy"),
    pytest.param({**SURGE, "requests_per_second": 160.0}, (), Cause.LOAD_SURGE, id="surge cut by saturation"),
    pytest.param(DEPLOY, (DEPLOYED,), Cause.SLOW_VERSION, id="deploy"),
    pytest.param(DEPLOY, (), Cause.SLOW_VERSION, id="slow model without a known deploy"),
    pytest.param(THROTTLE, (), Cause.GPU_THROTTLING, id="throttle"),
    pytest.param(THROTTLE, (DEPLOYED,), Cause.GPU_THROTTLING, id="throttle just after a deploy"),
    pytest.param({**SURGE, "requests_per_second": 115.0, "batch_size_mean": 12.0}, (), Cause.CAPACITY, id="capacity"),
    pytest.param(
        {"batch_size_mean": 1.6, "queue_depth": 40.0, "queue_wait_mean_seconds": 0.2, "replicas_busy_ratio": 1.0},
        (KNOB,),
        Cause.BATCHING_MISFIT,
        id="batches limited too low",
    ),
    pytest.param({"queue_wait_mean_seconds": 0.15, "latency_p50_seconds": 0.16}, (), Cause.BATCHING_MISFIT, id="long wait"),
    pytest.param({"cache_hit_ratio": 0.0, "latency_p50_seconds": 0.04}, (), Cause.CACHE_MISS_STORM, id="cache"),
    pytest.param({"answer_quality_ratio": 0.8}, (DEPLOYED,), Cause.QUALITY_LOSS, id="quality"),
    pytest.param({"targets_up_ratio": 0.5}, (), Cause.TELEMETRY_LOSS, id="targets"),
    pytest.param(
        {"requests_per_second": 0.0, "gpu_busy_ratio": 1.0, "queue_depth": 90.0}, (), Cause.DEAD_BUT_BUSY, id="hung"
    ),
    pytest.param({"host_memory_available_bytes": 2e8}, (), Cause.MEMORY_PRESSURE, id="memory"),
    pytest.param({"host_filesystem_available_bytes": 0.0, "errors_ratio": 0.3}, (), Cause.DISK_PRESSURE, id="disk"),
    pytest.param({"gpu_sm_clock_hertz": None, "gpu_power_watts": None}, (), Cause.GPU_FAULT, id="gpu gone"),
    pytest.param({"gpu_xid_code": 79.0, **SURGE}, (), Cause.GPU_FAULT, id="gpu off the bus under load"),
    pytest.param({"gpu_ecc_uncorrected_errors": 1.0}, (), Cause.GPU_FAULT, id="gpu memory error"),
    pytest.param({"gpu_rows_remapped": 1.0}, (DEPLOYED,), Cause.GPU_FAULT, id="gpu row replaced just after a deploy"),
    pytest.param({"gpu_row_remap_failed": 1.0}, (), Cause.GPU_FAULT, id="gpu row past replacing"),
    pytest.param({**THROTTLE, "gpu_xid_code": 48.0}, (), Cause.GPU_FAULT, id="gpu damaged and slowed"),
    pytest.param(
        {"requests_per_second": 44.0, "gpu_busy_ratio": 1.0, "gpu_power_watts": 95.0, "queue_depth": 60.0},
        (),
        Cause.DEAD_BUT_BUSY,
        id="a hung kernel beside what still works",
    ),
    pytest.param({"host_cpu_busy_ratio": 1.0, "latency_p99_seconds": 0.2}, (), Cause.HOST_BOUND, id="host"),
    pytest.param({"errors_ratio": 0.4}, (DEPLOYED,), Cause.UNKNOWN, id="nothing fits"),
]


@pytest.mark.parametrize(("changes", "marks", "cause"), TROUBLES)
def test_the_top_cause(changes: Mapping[str, float | None], marks: tuple[Mark, ...], cause: Cause) -> None:
    ranked = diagnose(view(changes, *marks))
    assert ranked[0].cause is cause
    assert ranked == tuple(sorted(ranked, key=lambda r: -r.confidence))
    assert all(0 <= r.confidence <= 1 for r in ranked)
    assert sum(r.confidence for r in ranked) <= 1
    assert len({r.cause for r in ranked}) == len(ranked)


@pytest.mark.parametrize(
    ("signal", "label", "others", "said"),
    [
        ("gpu_sm_clock_hertz", {"gpu": "3"}, [{"gpu": "0"}], "SM clock (gpu 3) 520 MHz, was 1410 MHz (emulated)"),
        ("gpu_sm_clock_hertz", {"gpu": "3"}, [], "SM clock 520 MHz, was 1410 MHz (emulated)"),
        ("stage_latency_mean_seconds", {"stage": "rank"}, [{"stage": "fetch"}], "time in a stage (rank) 520 ms, was 1.41 s"),
    ],
)
def test_evidence_says_which_of_several(signal: str, label: dict[str, str], others: list[dict[str, str]], said: str) -> None:
    scale, extra = (1e9, {"emulated": "true"}) if signal.startswith("gpu") else (1.0, {})
    series = [canonical_series(SERVICE, signal, {**labels, **extra}) for labels in (label, *others)]
    recent = Recent()
    recent.learn(SeriesSet(SERVICE, tuple(series)))
    for second in range(120):
        fell = 0.52 if second >= 100 else 1.41
        readings = {s.id: scale * (fell if s is series[0] else 1.41) for s in series}
        recent.append(Samples.of(SERVICE, "", at(second), readings))
    (evidence,) = view_of(recent, SERVICE, (at(100), at(119)), (), ()).evidence(signal)
    assert evidence.text == said


def test_every_rule_is_told_apart_by_some_trouble() -> None:
    assert {p.values[2] for p in TROUBLES} == {*RULES, Cause.UNKNOWN}


def test_a_healthy_service_has_no_known_cause() -> None:
    assert [r.cause for r in diagnose(view({}))] == [Cause.UNKNOWN]
    assert all(rule(view({})) is None for rule in RULES.values())


def test_nothing_known_at_all_is_unknown() -> None:
    assert diagnose(View(SERVICE, 0, 0, {}, ()))[0].cause is Cause.UNKNOWN


def test_an_idle_gpu_that_lowers_its_clock_is_not_throttled() -> None:
    idle = {"gpu_sm_clock_hertz": 2.1e8, "gpu_busy_ratio": 0.05, "requests_per_second": 8.0}
    assert Cause.GPU_THROTTLING not in {r.cause for r in diagnose(view(idle))}


def test_a_missing_tick_is_no_gpu_fault() -> None:
    assert Cause.GPU_FAULT not in {r.cause for r in diagnose(view({"gpu_power_watts": None}, lasted_s=2))}


@pytest.mark.parametrize("fault", [SURGE, DEPLOY, THROTTLE])
def test_a_busy_host_never_outranks_what_makes_it_busy(fault: Mapping[str, float]) -> None:
    ranked = diagnose(view({**fault, "host_cpu_busy_ratio": 1.0, "gpu_busy_ratio": 0.5}, DEPLOYED))
    assert ranked[0].cause is not Cause.HOST_BOUND
    assert all(r.confidence < 0.1 for r in ranked if r.cause is Cause.HOST_BOUND)


def test_a_deploy_after_the_start_is_not_the_cause() -> None:
    later = Mark.of(SERVICE, "deploy", at(150), "ranker v1", by="ana")
    deployed = [e for r in diagnose(view(DEPLOY, later)) for e in r.evidence if "ranker v1" in e.text]
    assert deployed == []


@pytest.mark.parametrize("code", [13.0, 31.0, 43.0, 45.0])
def test_a_programs_own_error_is_no_fault_of_the_gpu(code: float) -> None:
    assert Cause.GPU_FAULT not in {r.cause for r in diagnose(view({"gpu_xid_code": code}))}


@pytest.mark.parametrize("told", [True, False])
def test_what_was_full_or_used_up_before_the_baseline_is_a_cause_if_it_was_told_to_run_out(told: bool) -> None:
    short = {"host_filesystem_available_bytes": 1e6, "host_memory_available_bytes": 5e8}
    seen = replace(view({}, healthy={**HEALTHY, **short}), anomalous=frozenset(short if told else ()))
    assert {r.cause for r in diagnose(seen)} == ({Cause.DISK_PRESSURE, Cause.MEMORY_PRESSURE} if told else {Cause.UNKNOWN})


def test_the_file_system_that_was_told_to_run_out_is_the_one_shown_though_it_moves_no_more() -> None:
    disks = [
        canonical_series(SERVICE, "host_filesystem_available_bytes", {"mountpoint": at}) for at in ("/", "/data", "/var")
    ]
    recent = Recent()
    recent.learn(SeriesSet(SERVICE, tuple(disks)))
    for second in range(120):
        left = dict(zip((disk.id for disk in disks), (9e9 - 1e8 * (second > 100), 0.0, 5e9), strict=True))
        recent.append(Samples.of(SERVICE, "", at(second), left))
    told = Anomaly(
        "1", SERVICE, str(disks[1].id), disks[1].key, "exhaustion", at(-9000), None, 240.0, "below", 0.0, None, ""
    )
    shown = view_of(recent, SERVICE, (at(100), at(119)), (told,), ())
    (top,) = diagnose(shown)
    assert top.cause is Cause.DISK_PRESSURE
    assert [e.text for e in top.evidence] == ["disk space available (mountpoint /data) 0 MiB, was 0 MiB"]


def test_memory_that_is_told_to_stand_still_is_not_told_to_run_out() -> None:
    memory = canonical_series(SERVICE, "host_memory_available_bytes")
    recent = Recent()
    recent.learn(SeriesSet(SERVICE, (memory,)))
    for second in range(120):
        recent.append(Samples.of(SERVICE, "", at(second), {memory.id: 9e8}))
    stuck = Anomaly("1", SERVICE, str(memory.id), memory.key, "flat_line", at(0), None, 2.0, "below", 9e8, None, "")
    (top,) = diagnose(view_of(recent, SERVICE, (at(100), at(119)), (stuck,), ()))
    assert top.cause is Cause.UNKNOWN


def test_damage_from_before_the_baseline_is_no_cause() -> None:
    old = {**HEALTHY, "gpu_xid_code": 79.0, "gpu_rows_remapped": 4.0, "gpu_row_remap_failed": 1.0}
    assert Cause.GPU_FAULT not in {r.cause for r in diagnose(view(DEPLOY, healthy=old))}


def test_damage_is_said_with_its_code() -> None:
    (top, *_) = diagnose(view({"gpu_xid_code": 79.0, "gpu_rows_remapped": 2.0}))
    assert [e.text for e in top.evidence] == ["GPU error (XID) 79, was 0", "GPU memory rows replaced 2, was 0"]
    assert top.confidence > 0.9


def test_the_damaged_gpu_of_several_is_the_one_shown() -> None:
    series = [canonical_series(SERVICE, "gpu_xid_code", {"gpu": str(gpu)}) for gpu in range(3)]
    recent = Recent()
    recent.learn(SeriesSet(SERVICE, tuple(series)))
    for second in range(120):
        codes = {s.id: 79.0 if s is series[1] and second >= 100 else 0.0 for s in series}
        recent.append(Samples.of(SERVICE, "", at(second), codes))
    shown = view_of(recent, SERVICE, (at(100), at(119)), (), ())
    assert [e.text for e in shown.evidence("gpu_xid_code")] == ["GPU error (XID) (gpu 1) 79, was 0"]
    assert diagnose(shown)[0].cause is Cause.GPU_FAULT


def test_a_code_is_one_that_was_read_and_no_mean_of_two() -> None:
    series = canonical_series(SERVICE, "gpu_xid_code", {"gpu": "0"})
    recent = Recent()
    recent.learn(SeriesSet(SERVICE, (series,)))
    for second in range(104):
        recent.append(Samples.of(SERVICE, "", at(second), {series.id: 79.0 if second >= 102 else 0.0}))
    assert view_of(recent, SERVICE, (at(100), at(103)), (), ()).now("gpu_xid_code") == 79.0


LANGUAGE = {**HEALTHY, "generated_tokens_per_second": 2400.0, "prompt_tokens_per_second": 900.0}
SILENT = {"requests_per_second": 0.0, "gpu_busy_ratio": 1.0, "queue_depth": 90.0}


def test_long_answers_are_work_while_tokens_flow() -> None:
    flowing = {**SILENT, "prompt_tokens_per_second": 0.0, "generated_tokens_per_second": 2600.0}
    assert Cause.DEAD_BUT_BUSY not in {r.cause for r in diagnose(view(flowing, healthy=LANGUAGE))}
    dry = {**flowing, "generated_tokens_per_second": 0.0}
    assert diagnose(view(dry, healthy=LANGUAGE))[0].cause is Cause.DEAD_BUT_BUSY


def test_a_throttled_gpu_draws_little_and_is_not_dead() -> None:
    slowed = {**THROTTLE, "requests_per_second": 44.0, "gpu_busy_ratio": 1.0}
    assert Cause.DEAD_BUT_BUSY not in {r.cause for r in diagnose(view(slowed))}


def test_less_power_for_the_same_work_is_no_fault() -> None:
    frugal = {"gpu_busy_ratio": 0.95, "gpu_power_watts": 95.0}
    assert Cause.DEAD_BUT_BUSY not in {r.cause for r in diagnose(view(frugal))}


def test_a_gpu_that_idles_draws_little_and_is_not_dead() -> None:
    idle = {"requests_per_second": 10.0, "gpu_busy_ratio": 0.05, "gpu_power_watts": 60.0, "replicas_busy_ratio": 0.05}
    assert Cause.DEAD_BUT_BUSY not in {r.cause for r in diagnose(view(idle))}


def test_lost_targets_explain_what_is_not_measured_and_never_what_still_is() -> None:
    lost = {"targets_up_ratio": 0.5}
    assert diagnose(view({**lost, "latency_p99_seconds": None}))[0].cause is Cause.TELEMETRY_LOSS
    (only,) = diagnose(view({**lost, "latency_p99_seconds": 0.4}))
    assert only.cause is Cause.UNKNOWN
    assert [e.text for e in only.evidence] == ["p99 latency 400 ms, was 62 ms", "targets down: 50 % answer, were 100 %"]
