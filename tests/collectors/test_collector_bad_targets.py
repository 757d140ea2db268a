"""Whatever one target does, the other's samples are complete, and the bad one is down, for a reason, until it mends."""

import gzip
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from recwatch.core.signals import Samples
from tests.collectors.scenes import Recommender, Watch
from tests.collectors.server import (
    Answer,
    PageServer,
    chunked,
    cut_off,
    dribbling,
    endless,
    page,
    raw,
    redirect,
    stalled,
)

GOOD = Recommender(ok=10, queue_depth=4).text()
GOOD_SAMPLES = sum(not row.startswith("#") for row in GOOD.splitlines())
OWN = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
DOWN = {"up": 0.0, "scrape_duration_seconds": 0.0, "scrape_samples_scraped": 0.0}


@dataclass(frozen=True)
class Bad:
    answer: Callable[[PageServer], Answer]
    reason: str
    words: str
    timeout_s: float = 5.0


def bad_pages() -> dict[str, Bad]:
    zeros = gzip.compress(b"# " + b"0" * 20_000_000 + b"\n")
    many = "".join(f'x{{i="{row}"}} 1\n' for row in range(2001))
    return {
        "silent": Bad(stalled, "timeout", "longer than 0.5 s in all", 0.5),
        "dribbles its body": Bad(lambda s: dribbling(s, within_headers=False), "timeout", "longer than 0.5 s in all", 0.5),
        "dribbles its headers": Bad(lambda s: dribbling(s, within_headers=True), "timeout", "longer than 0.5 s in all", 0.5),
        "HTML": Bad(lambda _: page("<html></html>\n", "text/html"), "html", "is HTML, not metrics"),
        "HTML in disguise": Bad(lambda _: page("\n <!doctype html>\n"), "html", "is HTML, not metrics"),
        "error status": Bad(lambda _: page("busy\n", status=503), "http_status", "HTTP status 503"),
        "cut off mid-line": Bad(lambda _: cut_off("a_total 12", announced=False), "cut_off", "ends in the middle of a line"),
        "ends in half a row": Bad(lambda _: page('a 1\nb{c="d'), "malformed", "the page is cut off: its last row is"),
        "shorter than announced": Bad(lambda _: cut_off("a_total 12\n", announced=True), "cut_off", "broke off its answer"),
        "50 MB": Bad(lambda _: endless(1000, []), "too_large", "larger than 10000000 bytes"),
        "gzip bomb": Bad(lambda _: raw(zeros, {"Content-Encoding": "gzip"}), "too_large", "larger than 10000000 bytes"),
        "without its last chunk": Bad(lambda _: chunked("a_total 12", ended=False), "cut_off", "broke off its answer"),
        "half a gzip": Bad(lambda _: raw(zeros[:99], {"Content-Encoding": "gzip"}), "cut_off", "middle of its gzip data"),
        "no gzip": Bad(lambda _: raw(b"a 1\n", {"Content-Encoding": "gzip"}), "encoding", "cannot be unpacked"),
        "unasked encoding": Bad(lambda _: raw(b"a 1\n", {"Content-Encoding": "br"}), "encoding", "answers in 'br'"),
        "too many samples": Bad(lambda _: page(many), "too_many_samples", "more than 2000 samples"),
        "not metrics": Bad(lambda _: page('{"status": "ok"}\n'), "malformed", "is no exposition text"),
        "half a label": Bad(lambda _: page('a{b="c 1\n'), "malformed", "is no exposition text"),
        "not UTF-8": Bad(lambda _: raw(b"a\xff 1\n", {}), "malformed", "is no exposition text"),
        "too many labels": Bad(lambda _: page('a{b="1",c="2",d="3"} 1\n'), "label_limit", "a of 6 labels; label_limit is 5"),
        "a long name": Bad(
            lambda _: page("a" * 61 + " 1\n"), "label_limit", "__name__ longer than label_value_length_limit"
        ),
        "a long label": Bad(lambda _: page(f'a{{{"b" * 41}="1"}} 1\n'), "label_limit", "label_name_length_limit, 40 bytes"),
        "a long value": Bad(lambda _: page(f'a{{b="{"é" * 31}"}} 1\n'), "label_limit", "b longer than label_value_length"),
        "redirects in circles": Bad(lambda s: redirect(s.url("/bad")), "unreachable", "redirects"),
    }


def watch_both(server: PageServer, timeout_s: float = 5.0) -> Watch:
    timeout = f"{timeout_s * 1000:.0f}ms"
    settings: dict[str, Any] = {
        "scrape_interval": timeout,
        "scrape_timeout": timeout,
        "sample_limit": 2000,
        "label_limit": 5,
        "label_name_length_limit": 40,
        "label_value_length_limit": 60,
    }
    return Watch.of(server.url("/metrics"), server.url("/bad"), **settings)


def batch_of(samples: tuple[Samples, ...], url: str) -> Samples:
    return next(batch for batch in samples if batch.target == url)


@pytest.mark.parametrize("name", bad_pages())
def test_a_bad_target_is_down_for_a_reason_and_touches_no_other(server: PageServer, name: str) -> None:
    bad = bad_pages()[name]
    server.answers = {"/metrics": page(GOOD), "/bad": bad.answer(server)}
    watch = watch_both(server, bad.timeout_s)
    tick = watch.tick()
    good = watch.raw(tick, server.url("/metrics"))
    assert len(good) == GOOD_SAMPLES + len(OWN)
    assert good["up"] == 1.0
    assert good["scrape_samples_scraped"] == GOOD_SAMPLES
    assert watch.raw(tick, server.url("/bad")) == DOWN
    assert watch.signals(tick)["queue_depth"] == 4.0
    assert watch.signals(tick)["targets_up_ratio"] == 0.5
    assert bad.words in watch.error(server.url("/bad"))
    assert watch.collector.counters.scrapes_failed == {bad.reason: 1}

    server.released.set()
    server.answers["/bad"] = page("mended 1\n")
    while (tick := watch.tick()) and watch.signals(tick)["targets_up_ratio"] < 1.0:
        assert watch.collector.counters.scrapes_failed[bad.reason] < 100
    assert watch.raw(tick, server.url("/bad"))["mended"] == 1.0
    assert watch.error(server.url("/bad")) == ""
    watch.close()


@pytest.mark.parametrize("labels", ["", '{le="abc"}', '{le="nan"}'])
def test_a_bucket_without_a_readable_bound_is_no_measure_and_ends_nothing(server: PageServer, labels: str) -> None:
    text = f"{GOOD}recommender_request_seconds_bucket{labels} 5\n"
    server.answers = {"/metrics": page(GOOD), "/bad": page(text)}
    watch = watch_both(server)
    for _ in range(2):
        tick = watch.tick()
        assert watch.signals(tick)["targets_up_ratio"] == 1.0
        assert watch.signals(tick)["queue_depth"] == 8.0
        assert len(watch.raw(tick, server.url("/bad"))) == GOOD_SAMPLES + 1 + len(OWN)
    assert not any("nan" in name or "abc" in name for name in watch.signals(tick))
    watch.close()


@pytest.mark.parametrize("answer", [page("a 1\nb 12"), page("a 1\nb 12", zipped=True), chunked("a 1\nb 12", ended=True)])
def test_a_last_line_may_end_with_the_page_where_that_has_an_announced_end(server: PageServer, answer: Answer) -> None:
    server.answers = {"/metrics": page(GOOD), "/bad": answer}
    watch = watch_both(server)
    assert watch.raw(watch.tick(), server.url("/bad"))["b"] == 12.0
    watch.close()


def test_a_target_that_is_not_there_is_down(server: PageServer) -> None:
    server.answers = {"/metrics": page(GOOD)}
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        gone = f"http://127.0.0.1:{bound.getsockname()[1]}/metrics"
        watch = Watch.of(server.url("/metrics"), gone, scrape_interval="5s")
        tick = watch.tick()
    assert len(watch.raw(tick, server.url("/metrics"))) == GOOD_SAMPLES + len(OWN)
    assert watch.raw(tick, gone) == DOWN
    assert watch.error(gone) == f"{gone} cannot be reached: connection refused"
    assert watch.collector.counters.scrapes_failed == {"unreachable": 1}
    watch.close()


@pytest.mark.parametrize("within_headers", [True, False])
def test_a_dribbling_target_is_hung_up_on(server: PageServer, within_headers: bool) -> None:
    server.answers = {"/metrics": page(GOOD), "/bad": dribbling(server, within_headers)}
    watch = watch_both(server, timeout_s=0.5)
    watch.tick()
    assert server.hung_up.wait(30)
    watch.close()


def test_reading_stops_where_the_limit_is_passed(server: PageServer) -> None:
    sent: list[int] = []
    server.answers = {"/metrics": page(GOOD), "/bad": endless(1000, sent)}
    watch = watch_both(server)
    watch.tick()
    assert server.hung_up.wait(30)
    assert sum(sent) < 40_000_000
    watch.close()


def test_closing_ends_a_scrape_under_way(server: PageServer) -> None:
    server.answers = {"/metrics": page(GOOD), "/bad": dribbling(server, within_headers=True)}
    watch = watch_both(server, timeout_s=0.5)
    watch.tick()
    watch.close()
    assert server.hung_up.wait(30)


def test_of_a_duplicate_series_the_first_row_counts(server: PageServer) -> None:
    server.answers = {"/metrics": page(GOOD), "/bad": page('a{x="1",y="2"} 5\nb 6\na{y="2",x="1"} 7\n')}
    watch = watch_both(server)
    tick = watch.tick()
    assert len(watch.raw(tick, server.url("/metrics"))) == GOOD_SAMPLES + len(OWN)
    raw_rows = watch.raw(tick, server.url("/bad"))
    assert {name: value for name, value in raw_rows.items() if name not in OWN} == {"a{x: 1, y: 2}": 5.0, "b": 6.0}
    assert raw_rows["up"] == 1.0
    assert watch.collector.counters.duplicates_dropped == 1
    watch.close()


def test_values_that_are_no_reading_are_dropped_and_counted(server: PageServer) -> None:
    blank = "9223372036854775794"
    text = f'DCGM_FI_DEV_POWER_USAGE{{gpu="0"}} {blank}\nDCGM_FI_DEV_GPU_TEMP{{gpu="0"}} 50\na NaN\nb +Inf\nc -Inf\n'
    server.answers = {"/metrics": page(GOOD), "/bad": page(text)}
    watch = watch_both(server)
    tick = watch.tick()
    assert len(watch.raw(tick, server.url("/metrics"))) == GOOD_SAMPLES + len(OWN)
    assert watch.raw(tick, server.url("/bad")).keys() == OWN | {"DCGM_FI_DEV_GPU_TEMP{gpu: 0}"}
    assert watch.raw(tick, server.url("/bad"))["scrape_samples_scraped"] == 5.0
    assert "gpu_power_watts{gpu: 0}" not in watch.signals(tick)
    assert watch.signals(tick)["gpu_temperature_celsius{gpu: 0}"] == 50.0
    assert watch.collector.counters.values_dropped == 4
    watch.close()


def test_gzip_and_redirects_are_taken(server: PageServer) -> None:
    server.answers = {"/metrics": page(GOOD, zipped=True), "/bad": redirect(server.url("/metrics"))}
    watch = watch_both(server)
    tick = watch.tick()
    assert watch.signals(tick)["targets_up_ratio"] == 1.0
    assert len(watch.raw(tick, server.url("/bad"))) == GOOD_SAMPLES + len(OWN)
    assert {request["Accept-Encoding"] for request in server.requests} == {"gzip"}
    assert {request["X-Prometheus-Scrape-Timeout-Seconds"] for request in server.requests} == {"5"}
    watch.close()


def test_a_target_that_is_away_too_long_is_left_out_and_counted(server: PageServer) -> None:
    busy = Recommender(queue_depth=6)
    server.answers = {"/metrics": page(GOOD), "/bad": page(busy.text())}
    watch = watch_both(server)
    assert watch.signals(watch.tick(5))["queue_depth"] == 10.0
    server.answers["/bad"] = page("", status=500)
    assert [watch.signals(watch.tick(5))["queue_depth"] for _ in range(4)] == [10.0, 10.0, 4.0, 4.0]
    assert watch.collector.counters.stale_targets == 2
    watch.close()
