"""Targets that come and go in files and over HTTP, and lists that make no sense for a while."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors.collector import Tick
from tests.collectors.scenes import Watch
from tests.collectors.server import PageServer, page, raw, serving


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        running.answers = {"/metrics": page("a 1\n"), "/gpu": page("b 2\n")}
        yield running


@contextmanager
def watching(**settings: Any) -> Iterator[Watch]:
    watch = Watch.of(scrape_interval="5s", **settings)
    try:
        yield watch
    finally:
        watch.close()


def address(server: PageServer) -> str:
    return server.url("").partition("://")[2]


def groups(server: PageServer, *paths: str, **labels: str) -> list[dict[str, Any]]:
    return [{"targets": [address(server)], "labels": labels | {"__metrics_path__": path}} for path in paths]


def listed(content: object) -> Any:
    return raw(json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})


def seen(watch: Watch, tick: Tick) -> dict[str, float]:
    """What a tick brought of the pages, and the share of targets that are up."""
    rows = watch.readings(tick.samples)
    return {name: value for name, value in rows.items() if name.partition("{")[0] in ("a", "b", "targets_up_ratio")}


def test_a_file_is_followed_as_it_changes(server: PageServer, tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(groups(server, "/metrics", rack="r1")))
    with watching(file_sd_configs=[{"files": [str(file)]}]) as watch:
        first = watch.tick()
        assert seen(watch, first) == {"a{rack: r1}": 1.0, "targets_up_ratio": 1.0}
        assert watch.known.keys() >= {int(one) for samples in first.samples for one in samples.series_id}
        file.write_text(json.dumps(groups(server, "/metrics", "/gpu", rack="r1")))
        second = watch.tick()
        assert second.series is not None
        assert seen(watch, second) == {"a{rack: r1}": 1.0, "b{rack: r1}": 2.0, "targets_up_ratio": 1.0}
        file.write_text(json.dumps(groups(server, "/gpu", rack="r1")))
        assert seen(watch, watch.tick()) == {"b{rack: r1}": 2.0, "targets_up_ratio": 1.0}
        assert [status.url for status in watch.collector.targets()] == [server.url("/gpu")]
        file.write_text(json.dumps(groups(server, "/gpu", rack="r2")))
        last = watch.tick()
        assert seen(watch, last) == {"b{rack: r2}": 2.0, "targets_up_ratio": 1.0}
        assert last.series is not None
        assert [one.labels["rack"] for one in last.series.series if one.name in ("a", "b")] == ["r2"]
        assert watch.collector.scrapes.troubles == ()


def test_a_target_that_vanishes_is_no_outage(server: PageServer, tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(groups(server, "/metrics", "/gpu")))
    server.answers["/gpu"] = page("", status=500)
    with watching(file_sd_configs=[{"files": [str(file)]}]) as watch:
        assert seen(watch, watch.tick())["targets_up_ratio"] == 0.5
        file.write_text(json.dumps(groups(server, "/metrics")))
        assert seen(watch, watch.tick()) == {"a": 1.0, "targets_up_ratio": 1.0}
        file.write_text("[]")
        assert watch.tick().samples == ()


def test_patterns_find_files_in_yaml_and_json(server: PageServer, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(f"- targets: ['{address(server)}']\n  labels: {{rack: 07, since: 2024-02-30}}\n")
    (tmp_path / "two.json").write_text(json.dumps(groups(server, "/gpu")))
    with watching(file_sd_configs=[{"files": [f"{tmp_path}/**.yaml", f"{tmp_path}/t*.json"]}]) as watch:
        assert seen(watch, watch.tick()) == {"a{rack: 07, since: 2024-02-30}": 1.0, "b": 2.0, "targets_up_ratio": 1.0}
        (tmp_path / "two.json").unlink()
        (tmp_path / "too.json").write_text(json.dumps(groups(server, "/gpu", new="yes")))
        assert seen(watch, watch.tick()) == {
            "a{rack: 07, since: 2024-02-30}": 1.0,
            "b{new: yes}": 2.0,
            "targets_up_ratio": 1.0,
        }


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("[{", "lists no targets that can be used: "),
        ("", "lists no targets that can be used: "),
        ('{"targets": []}', "it holds no list of target groups"),
        ('[{"target": ["127.0.0.1:1"]}]', "key '[0].targets' is missing. Add it"),
        ('[{"targets": ["127.0.0.1:1"], "lable": {}}]', "unknown key '[0].lable'. Did you mean 'labels'? Valid keys "),
        ('[{"targets": ["http://127.0.0.1:1/metrics"]}]', "write host:port"),
        ('[{"targets": ["a\\\\b:1"]}]', "is no URL"),
        (f'[{{"targets": ["{70 * "é"}:1"]}}]', "is no URL"),
        ("[" * 100_000, "lists no targets that can be used: "),
        (f"[{5_000 * '1'}]", "lists no targets that can be used: "),
    ],
)
def test_a_file_that_makes_no_sense_keeps_what_it_listed_and_is_told(
    server: PageServer, tmp_path: Path, broken: str, words: str
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(groups(server, "/metrics")))
    bad.write_text(json.dumps(groups(server, "/gpu")))
    with watching(file_sd_configs=[{"files": [f"{tmp_path}/*.json"]}]) as watch:
        watch.tick()
        bad.write_text(broken)
        for _ in range(2):
            assert seen(watch, watch.tick()) == {"a": 1.0, "b": 2.0, "targets_up_ratio": 1.0}
            (trouble,) = watch.collector.scrapes.troubles
            assert trouble.startswith(f"{bad} lists")
            assert words in trouble
        bad.write_text("[]")
        assert seen(watch, watch.tick()) == {"a": 1.0, "targets_up_ratio": 1.0}
        assert watch.collector.scrapes.troubles == ()


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    with watching(file_sd_configs=[{"files": [f"{tmp_path}/*.yml"]}]) as watch:
        assert watch.tick().samples == ()
        assert watch.collector.scrapes.troubles == (f"no file matches {tmp_path}/*.yml",)


def test_an_address_lists_targets(server: PageServer) -> None:
    server.answers["/targets"] = listed(groups(server, "/metrics", rack="r1"))
    with watching(http_sd_configs=[{"url": server.url("/targets"), "refresh_interval": "30s"}]) as watch:
        assert seen(watch, watch.tick()) == {"a{rack: r1}": 1.0, "targets_up_ratio": 1.0}
        asked = server.requests[0]
        assert (asked["Accept"], asked["X-Prometheus-Refresh-Interval-Seconds"]) == ("application/json", "30")
        server.answers["/targets"] = listed(groups(server, "/gpu"))
        assert seen(watch, watch.tick()) == {"b": 2.0, "targets_up_ratio": 1.0}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (page("", status=503), "HTTP status 503"),
        (page("[]"), "not application/json"),
        (raw(b"[{", {"Content-Type": "application/json"}), "lists no targets"),
        (raw(b"\xff", {"Content-Type": "application/json"}), "lists no targets"),
        (listed({"targets": []}), "no list of target groups"),
    ],
)
def test_an_address_that_answers_nonsense_keeps_what_it_listed_and_is_told(
    server: PageServer, answer: Any, words: str
) -> None:
    server.answers["/targets"] = listed(groups(server, "/metrics"))
    with watching(http_sd_configs=[{"url": server.url("/targets")}]) as watch:
        watch.tick()
        server.answers["/targets"] = answer
        assert seen(watch, watch.tick()) == {"a": 1.0, "targets_up_ratio": 1.0}
        (trouble,) = watch.collector.scrapes.troubles
        assert server.url("/targets") in trouble
        assert words in trouble


def test_the_secret_for_a_list_is_not_shown_to_the_targets_on_it(server: PageServer, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("for the list")
    server.answers["/targets"] = listed(groups(server, "/metrics"))
    source = {"url": server.url("/targets"), "authorization": {"credentials_file": f"{tmp_path}/secret"}}
    with watching(http_sd_configs=[source]) as watch:
        watch.tick()
    assert [request.get("Authorization") for request in server.requests] == ["Bearer for the list", None]


def test_of_two_lists_with_one_address_the_first_counts(server: PageServer, tmp_path: Path) -> None:
    (tmp_path / "shop.json").write_text(json.dumps(groups(server, "/metrics", "/gpu", by="file")))
    with watching(targets=[server.url("/metrics")], file_sd_configs=[{"files": [f"{tmp_path}/shop.json"]}]) as watch:
        assert seen(watch, watch.tick()) == {"a": 1.0, "b{by: file}": 2.0, "targets_up_ratio": 1.0}
