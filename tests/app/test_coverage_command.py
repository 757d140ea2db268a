"""`recwatch coverage` as people and scripts use it: exit codes, one sentence a failure, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recwatch.app.cli import app
from tests.collectors.server import PageServer, cut_off, page, serving

GOOD = '# TYPE DCGM_FI_DEV_GPU_TEMP gauge\nDCGM_FI_DEV_GPU_TEMP{gpu="0"} 61\n'


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as server:
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["coverage", *arguments])


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "page.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def test_a_url_and_a_file_tell_the_same(server: PageServer, tmp_path: Path) -> None:
    server.answers["/metrics"] = page(GOOD)
    of_url = json.loads(run(server.url("/metrics"), "--json").stdout)
    of_file = json.loads(run(written(tmp_path, GOOD), "--json").stdout)
    assert of_url.pop("target") == server.url("/metrics")
    assert of_file.pop("target").endswith("page.txt")
    assert of_url == of_file
    assert of_url["recwatch_coverage"] == 1
    assert of_url["signals"] == [
        {
            "signal": "gpu_temperature_celsius",
            "labels": {"gpu": "0"},
            "value": 61.0,
            "unit": "celsius",
            "flags": [],
            "sources": [{"metric": "DCGM_FI_DEV_GPU_TEMP", "labels": {"gpu": "0"}}],
        }
    ]


def test_openmetrics_is_read_as_what_the_server_says_it_is(server: PageServer) -> None:
    text = '# TYPE redis_evicted_keys counter\nredis_evicted_keys_total 3 # {trace_id="a"} 1\n# EOF\n'
    server.answers["/metrics"] = page(text, "application/openmetrics-text; version=1.0.0")
    found = json.loads(run(server.url("/metrics"), "--json").stdout)
    assert [(row["signal"], row["value"]) for row in found["signals"]] == [("cache_evictions_total", 3.0)]


def test_people_get_a_report(tmp_path: Path) -> None:
    result = run(written(tmp_path, GOOD))
    assert result.exit_code == 0
    assert "dcgm, recognised by DCGM_FI_DEV_GPU_TEMP" in result.stdout
    assert "61 °C" in result.stdout


def test_an_unknown_page_is_a_report_too(tmp_path: Path) -> None:
    result = run(written(tmp_path, "shop_orders_total 5\n"))
    assert result.exit_code == 0
    assert "shop_orders_total" in result.stdout


def test_the_kind_can_be_said_where_the_page_does_not_tell(tmp_path: Path) -> None:
    target = written(tmp_path, "kv_cache_hit_rate 1\n")
    assert json.loads(run(target, "--json").stdout)["servers"] == []
    assert [one["kind"] for one in json.loads(run(target, "--json", "--kind", "vllm").stdout)["servers"]] == ["vllm"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("I am no metrics\nat all\n", "is no exposition text"),
        ("<html><body>Sign in</body></html>\n", "is HTML, not metrics; check the path, which is often /metrics"),
        (b"\x00\x01\x02\xff\n", "'···\ufffd' is no exposition text"),
        ('{"a": "' + "b" * 100 + '"}', '{"a": "' + "b" * 53 + "…' is no exposition text, nor is any other row"),
        ("", "holds no metrics; check that the server is up and has metrics switched on"),
    ],
)
def test_what_is_no_page_of_metrics_is_one_sentence(content: str | bytes, sentence: str, tmp_path: Path) -> None:
    result = run(written(tmp_path, content))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_html_of_a_server_is_one_sentence(server: PageServer) -> None:
    server.answers["/"] = page("welcome\n", "text/html")
    result = run(server.url("/"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{server.url('/')} is HTML, not metrics" in result.stderr


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("http://127.0.0.1:1/metrics", "http://127.0.0.1:1/metrics cannot be reached: connection refused\n"),
        ("127.0.0.1:1/metrics", "127.0.0.1:1/metrics is no file; if it is an address, write http:// before it"),
        ("ftp://127.0.0.1/metrics", "'ftp://127.0.0.1/metrics' is no HTTP address; write it out, such as http://"),
        ("", "the target is empty"),
        ("http://", "is no HTTP address"),
        ("http://user:secret@127.0.0.1/metrics", "holds a user or password"),
        ("nowhere.txt", "nowhere.txt cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence(target: str, sentence: str) -> None:
    result = run(target)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert "secret" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_http_error_is_named(server: PageServer) -> None:
    server.answers["/metrics"] = page("gone\n", status=503)
    result = run(server.url("/metrics"))
    assert result.exit_code == 1
    assert "answers HTTP status 503" in result.stderr


def test_a_kind_that_nobody_knows_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    result = run(written(tmp_path, GOOD), "--kind", "dgcm")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'dgcm' is no kind of server; they are: " in result.stderr
    assert "dcgm" in result.stderr


def test_what_the_scraper_refuses_coverage_refuses_too(server: PageServer) -> None:
    server.answers = {"/whole": page(GOOD.rstrip()), "/cut": cut_off(GOOD.rstrip(), announced=False)}
    assert run(server.url("/whole")).exit_code == 0
    refused = run(server.url("/cut"))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "ends in the middle of a line" in refused.stderr


def test_strict_refuses_a_page_with_a_row_that_breaks_the_standard(tmp_path: Path) -> None:
    target = written(tmp_path, GOOD + "DCGM_FI_DEV_ENC_UTIL{gpu=0} 1\n")
    lenient, strict = run(target, "--json"), run(target, "--json", "--strict")
    assert json.loads(lenient.stdout)["dropped"][0]["rows"] == 1
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert "DCGM_FI_DEV_ENC_UTIL{gpu=0}" in strict.stderr


def test_names_of_a_page_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    result = run(written(tmp_path, 'DCGM_FI_DEV_GPU_TEMP{gpu="\x1b[31mred"} 61\n'))
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout


def test_what_looks_like_the_name_of_an_emoji_is_printed_as_it_is(tmp_path: Path) -> None:
    assert "a{b=:x:} 1" in run(written(tmp_path, f"{GOOD}a{{b=:x:}} 1\n")).stdout
    assert ":x: cannot be read" in run(":x:").stderr
