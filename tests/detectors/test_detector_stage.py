"""The stage: what it publishes, when, and what it remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from detectors.plan import PLAN, DetectionConfig
from detectors.stage import DetectorStage
from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import SIGNALS, canonical_series, derived_series
from recwatch.core.errors import BadInput
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, Series, SeriesSet

RATE = canonical_series("shop", "requests_per_second")
P99 = canonical_series("shop", "latency_p99_seconds")
QUEUE = canonical_series("shop", "queue_depth")
BUCKET = canonical_series("shop", "latency_bucket_increments", {"le": "0.1"})
RAW = Series("http_requests_total", {"service": "shop", "job": "web"}, "requests", "counter", "shop", "http://a/metrics")
KNOWN = SeriesSet("shop", (RATE, P99, QUEUE, BUCKET, RAW))


def stage(config: DetectionConfig | None = None) -> DetectorStage:
    return DetectorStage({"shop": Objective(latency_p99_seconds=0.150)}, config)


def give(to: DetectorStage, *messages: Samples | SeriesSet) -> Sequence[Outgoing]:
    records = [
        Record("series" if isinstance(message, SeriesSet) else "samples", 0, offset, message.service, message)
        for offset, message in enumerate(messages)
    ]
    return to.process(records, now_ms=0)


def tick(second: int, p99_s: float = 0.025, queue: float = 0.0, service: str = "shop") -> Samples:
    noise = np.random.default_rng(second).standard_normal(2)
    readings = {
        canonical_series(service, "requests_per_second").id: 110.0 + 10.0 * noise[0],
        canonical_series(service, "latency_p99_seconds").id: p99_s * (1.0 + 0.05 * noise[1]),
        canonical_series(service, "queue_depth").id: queue,
    }
    return Samples.of(service, "", second * 1000, readings)


def warm(seconds: int = 60) -> DetectorStage:
    judge = stage()
    give(judge, KNOWN, *(tick(second) for second in range(seconds)))
    return judge


def anomalies(outgoing: Sequence[Outgoing]) -> list[Anomaly]:
    return [out.message for out in outgoing if out.topic == "anomalies"]


def published(outgoing: Sequence[Outgoing]) -> dict[tuple[int, int], float]:
    """Value of each (series id, time in ms) in the judgements."""
    return {
        (series_id, time_ms): value
        for out in outgoing
        if out.topic == "judgements"
        for series_id, time_ms, value in zip(
            out.message.series_id.tolist(), out.message.time_ms.tolist(), out.message.value.tolist(), strict=True
        )
    }


def test_derived_series_are_told_whole_and_before_their_samples() -> None:
    judge = stage()
    first = give(judge, tick(0), SeriesSet("shop", (QUEUE,)))
    second = give(judge, tick(1), KNOWN)

    assert [out.topic for out in first] == ["derived_series", "judgements"]
    names = {series.key for series in second[0].message.series}
    assert derived_series("recwatch_score", QUEUE, "robust_band").key in names
    assert derived_series("recwatch_score", P99, "objective").key in names
    assert give(judge, KNOWN) == []


def test_every_published_reading_has_its_definition() -> None:
    judge = stage()
    outgoing = give(judge, KNOWN, *(tick(second) for second in range(640)))
    defined = {series.id for out in outgoing if out.topic == "derived_series" for series in out.message.series}

    told = {series_id for series_id, _ in published(outgoing)}

    assert told == defined


def test_only_canonical_signals_of_the_plan_are_judged() -> None:
    outgoing = give(stage(), KNOWN)
    judged = {series.labels["signal"] for series in outgoing[0].message.series}

    assert judged == {"requests_per_second", "latency_p99_seconds", "queue_depth"}
    assert {name for name, signal in SIGNALS.items() if signal.user_facing} <= set(PLAN)


def test_the_warm_up_is_told_until_it_is_over() -> None:
    judge = stage()
    outgoing = give(judge, KNOWN, *(tick(second) for second in range(60)))
    warmup = derived_series("recwatch_warmup_ratio", QUEUE, "robust_band").id
    told = [value for (series_id, _), value in sorted(published(outgoing).items()) if series_id == warmup]

    np.testing.assert_allclose(told, np.arange(1, 26) / 25)


def test_all_that_judges_what_users_feel_is_warm_within_a_minute_of_readings() -> None:
    judge = stage()
    outgoing = give(judge, KNOWN, *(tick(second) for second in range(60)))
    warmups = {s.id for s in outgoing[0].message.series if s.name == "recwatch_warmup_ratio"}
    last = {series_id: value for (series_id, _), value in sorted(published(outgoing).items()) if series_id in warmups}

    assert warmups == set(last)
    assert set(last.values()) == {1.0}


def test_an_objective_is_judged_from_the_first_reading() -> None:
    judge = stage()
    outgoing = [*give(judge, KNOWN), *(out for second in range(7) for out in give(judge, tick(second, p99_s=0.600)))]

    (told,) = anomalies(outgoing)
    assert told.start_ms == 0
    assert (told.method, told.expected, told.end_ms, told.direction) == ("objective", None, None, "above")
    assert told.reason.endswith("over the objective of 150 ms")
    scores = [published(outgoing)[derived_series("recwatch_score", P99, "objective").id, t * 1000] for t in range(7)]
    assert max(scores) == told.peak_score


@pytest.mark.parametrize("healthy_s", [0, 60])
def test_a_target_that_is_down_is_an_anomaly_whenever_it_went(healthy_s: int) -> None:
    judge, up = stage(), canonical_series("shop", "targets_up_ratio")
    ratios = [1.0] * healthy_s + [0.995] * 600
    ticks = [Samples.of("shop", "", second * 1000, {up.id: ratio}) for second, ratio in enumerate(ratios)]

    (told,) = anomalies(give(judge, SeriesSet("shop", (up,)), *ticks))

    assert (told.start_ms, told.direction, told.expected, told.end_ms) == (healthy_s * 1000, "below", 1.0, None)


def test_one_burst_in_the_window_of_a_tail_quantile_is_no_anomaly() -> None:
    judge = warm()
    burst = [anomaly for second in range(60, 66) for anomaly in anomalies(give(judge, tick(second, p99_s=2.0)))]

    assert burst == []
    assert anomalies(give(judge, tick(66))) == []


def test_an_anomaly_is_raised_once_and_closed_once() -> None:
    judge = warm()
    during = [anomaly for second in range(60, 70) for anomaly in anomalies(give(judge, tick(second, queue=500.0)))]
    after = [anomaly for second in range(70, 90) for anomaly in anomalies(give(judge, tick(second)))]

    (started,), (ended,) = during, after
    assert started.id == ended.id == Anomaly.id_of(QUEUE.id, "robust_band", 60_000)
    assert (started.start_ms, started.end_ms) == (60_000, None)
    assert (ended.start_ms, ended.end_ms) == (60_000, 69_000)
    assert ended.peak_score >= started.peak_score >= 1.0
    assert started.reason == "queue 500 requests, expected 0 requests (band 0 requests to 16 requests)"


def test_the_reason_names_the_load() -> None:
    judge = warm()
    told = [anomaly for second in range(60, 68) for anomaly in anomalies(give(judge, tick(second, p99_s=0.130)))]

    by_load = next(anomaly for anomaly in told if anomaly.method == "latency_given_load")
    assert " requests/s (band " in by_load.reason
    assert by_load.expected == pytest.approx(0.025, rel=0.2)


def test_a_latency_beyond_the_last_bucket_is_said_to_be_at_least_so_much() -> None:
    judge = warm()
    told = [anomaly for second in range(60, 68) for anomaly in anomalies(give(judge, tick(second, p99_s=0.130)))]

    assert {anomaly.reason[:21] for anomaly in told} == {"p99 latency at least "}


def test_an_anomaly_ends_when_its_series_vanishes() -> None:
    judge = warm()
    give(judge, tick(60, queue=500.0), tick(61, queue=500.0))
    without = [Samples.of("shop", "", second * 1000, {RATE.id: 110.0, P99.id: 0.025}) for second in range(62, 70)]

    ends = [anomaly.end_ms for message in without for anomaly in anomalies(give(judge, message))]

    assert ends == [61_000]


def test_silence_of_what_users_feel_is_no_recovery_for_a_minute() -> None:
    judge = warm()
    started = [a for second in range(60, 70) for a in anomalies(give(judge, tick(second, p99_s=0.600)))]
    silence = [Samples.of("shop", "", second * 1000, {RATE.id: 110.0}) for second in range(70, 140)]
    ended = {second: anomalies(give(judge, message)) for second, message in enumerate(silence, start=70)}

    assert len(started) > 0
    assert [a for second in range(70, 129) for a in ended[second]] == []
    assert {a.id for told in ended.values() for a in told} == {a.id for a in started}


def test_a_reading_that_is_not_newer_is_not_judged() -> None:
    judge = warm(seconds=60)

    assert published(give(judge, tick(59, queue=900.0), tick(30, queue=900.0))) == {}
    assert anomalies(give(judge, tick(60))) == []


def test_polling_many_ticks_at_once_changes_nothing() -> None:
    ticks = [tick(second, queue=500.0 if second > 50 else 0.0) for second in range(60)]
    singly, at_once = stage(), stage()
    give(singly, KNOWN)
    one_by_one = [out for message in ticks for out in give(singly, message)]
    whole = Samples.concat(ticks)
    together = give(at_once, KNOWN, whole)

    assert published(together) == published(one_by_one)
    assert anomalies(together) == anomalies(one_by_one) != []


@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_matter_how_records_are_polled(seed: int) -> None:
    """Nor that some come twice, or after the next of their service."""
    rng = np.random.default_rng(seed)
    services = ("shop", "news", "maps")
    known = [SeriesSet(s, tuple(canonical_series(s, one.name) for one in (RATE, P99, QUEUE))) for s in services]
    ticks = [tick(t, 0.3 if 40 < t < 50 else 0.025, 500.0 if t > 45 else 0.0, s) for t in range(70) for s in services]
    messages: list[Samples | SeriesSet] = [*known, *ticks]
    for _ in range(20):
        late = int(rng.integers(10, len(messages)))
        messages.insert(late + int(rng.integers(4)), messages[late])
    for early in rng.choice(range(30, len(messages) - 3), 10, replace=False).tolist():
        messages[early], messages[early + 3] = messages[early + 3], messages[early]
    cuts = [0, *sorted(rng.choice(len(messages), 30, replace=False).tolist()), len(messages)]
    singly, by_polls = stage(), stage()

    one_by_one = [out for message in messages for out in give(singly, message)]
    polled = [out for start, end in pairwise(cuts) for out in give(by_polls, *messages[start:end])]

    assert published(polled) == published(one_by_one)
    assert sum(out.topic == "judgements" for out in polled) == sum(out.topic == "judgements" for out in one_by_one)
    for service in services:
        told = [a for a in anomalies(one_by_one) if a.service == service]
        assert [a for a in anomalies(polled) if a.service == service] == told != []


def test_services_are_judged_together_and_told_apart() -> None:
    other = SeriesSet("news", tuple(canonical_series("news", series.name) for series in (RATE, P99, QUEUE)))
    both, alone = stage(), stage()
    give(both, KNOWN, other)
    give(alone, KNOWN)
    mine = [give(both, tick(second), tick(second, service="news")) for second in range(40)]
    theirs = [give(alone, tick(second)) for second in range(40)]

    assert {out.key for outgoing in mine for out in outgoing} == {"shop", "news"}
    of_shop = [[out for out in outgoing if out.key == "shop"] for outgoing in mine]
    assert [published(outgoing) for outgoing in of_shop] == [published(outgoing) for outgoing in theirs]


def test_the_order_in_which_services_come_does_not_matter() -> None:
    known = [
        SeriesSet(name, tuple(canonical_series(name, one.name) for one in (RATE, P99, QUEUE))) for name in ("shop", "news")
    ]
    straight, turned = stage(), stage()
    give(straight, *known)
    give(turned, *known)

    for second in range(60):
        shop, news = tick(second), tick(second, queue=7.0, service="news")
        mine, theirs = give(straight, shop, news), give(turned, *((shop, news) if second % 2 else (news, shop)))
        assert published(mine) == published(theirs)
    assert straight.snapshot() == turned.snapshot()


def test_the_order_of_series_in_a_tick_does_not_matter() -> None:
    straight, turned = warm(), warm()
    one = tick(60)
    reverse = Samples("shop", "", one.time_ms[::-1], one.series_id[::-1], one.value[::-1])

    assert published(give(straight, one)) == published(give(turned, reverse))


@pytest.mark.parametrize("config", [None, DetectionConfig(also={"requests_per_second": ("level_shift",)})])
def test_a_restored_stage_goes_on_where_the_other_was(config: DetectionConfig | None) -> None:
    going, restored = stage(config), stage(config)
    give(going, KNOWN, *(tick(second) for second in range(60)), tick(60, queue=500.0), tick(61, queue=500.0))
    restored.restore(going.snapshot())

    for second in range(61, 75):
        mine, theirs = give(going, tick(second)), give(restored, tick(second))
        assert published(mine) == published(theirs)
        assert anomalies(mine) == anomalies(theirs)
    assert going.snapshot() == restored.snapshot()


def test_a_restored_stage_tells_its_derived_series_anew() -> None:
    before, restored = stage(), stage()
    told = give(before, KNOWN, tick(0))
    restored.restore(before.snapshot())

    assert give(restored, KNOWN) == told[:1]


def test_a_snapshot_that_does_not_fit_is_refused() -> None:
    other = stage(DetectionConfig(also={"requests_per_second": ("level_shift",)}))

    with pytest.raises(BadInput, match="cannot be read"):
        stage().restore(b"not a snapshot")
    with pytest.raises(BadInput, match="other methods"):
        other.restore(warm(seconds=3).snapshot())


def test_a_river_model_can_judge_a_signal() -> None:
    judge = stage(DetectionConfig(also={"requests_per_second": ("river_sad",)}))
    outgoing = give(judge, KNOWN, *(tick(second) for second in range(40)))

    assert (derived_series("recwatch_score", RATE, "river_sad").id, 39_000) in published(outgoing)


@pytest.mark.parametrize("also", [{"requests": ("river_sad",)}, {"queue_depth": ("prophet",)}])
def test_a_configuration_of_what_does_not_exist_is_refused(also: Mapping[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValidationError, match="they are"):
        DetectionConfig.model_validate({"also": also})


def test_what_does_not_matter_is_no_anomaly_however_long_it_lasts() -> None:
    judge = warm(seconds=300)
    told = [a for second in range(300, 330) for a in anomalies(give(judge, tick(second, queue=12.0)))]

    assert told == []
