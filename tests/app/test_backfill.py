"""`recwatch backfill` from a real Prometheus with a past, and from a table: all of it, once, whatever broke it off."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from recwatch.app.cli import app
from recwatch.app.config import load_config
from recwatch.app.pipeline import Pipeline
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store
from recwatch.core.store.connection import Connection, parse_dsn
from tests.collectors.prometheus import Prometheus
from tests.conftest import require
from tests.waiting import until

STEP_S = 60
HOURS = 15
END_S = int(time.time()) // STEP_S * STEP_S + 30 * STEP_S
"""The past goes on for a while, so that it makes no difference when the test comes to ask for it."""
START_S = END_S - HOURS * 3600
TARGETS = ("10.0.0.1:8000", "10.0.0.2:8000")
COUNTED = {  # of each request
    'recommender_requests_total{outcome="ok"': 0.75,
    'recommender_requests_total{outcome="error"': 0.25,
    'recommender_request_seconds_bucket{le="0.1"': 0.5,
    'recommender_request_seconds_bucket{le="+Inf"': 1.0,
    "recommender_request_seconds_sum{": 0.125,
    "recommender_request_seconds_count{": 1.0,
}

# Dies, as by kill -9, when a stretch is stored and that is not yet remembered.
KILLED = """
import os, signal, sys
from recwatch.app.cli import app
from recwatch.app.filling import Filling
remember = Filling._remember
def dies(self, plan):
    if plan.done_ms > plan.start_ms:
        os.kill(os.getpid(), signal.SIGKILL)
    remember(self, plan)
Filling._remember = dies
app(sys.argv[1:])
"""


def requests_until(at_s: float) -> float:
    """Requests of a target: from 600 to 1800 in a minute, in the course of a day."""
    turn = 2 * math.pi / 86_400
    return 20.0 * (at_s - START_S) - 10.0 / turn * math.cos(turn * at_s)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus whose past `promtool` has written."""
    folder = tmp_path_factory.mktemp("prometheus")
    promtool = shutil.which("promtool")
    require("prometheus", promtool is not None, "the program 'promtool' is not on the path")
    samples = [
        f'{row}{"," if row[-1] != "{" else ""}job="ranker",instance="{target}"}} {share * requests_until(at_s)!r} {at_s}'
        for target in TARGETS
        for row, share in COUNTED.items()
        for at_s in range(START_S, END_S + 1, STEP_S)
    ]
    (folder / "past").write_text("\n".join([*samples, "# EOF", ""]))
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(folder / "past"), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True)
    with Prometheus(folder, [], "1s") as running:
        until(running.answers, "Prometheus is up")
        yield running


def configured(folder: Path, **more: object) -> Path:
    service = {"name": "shop", "receive": ['{job="ranker"}'], "objective": {"latency_p99": "200ms"}} | more
    content = {
        "services": [service],
        "store": f"chdb://{folder}/store",
        "spool": {"folder": f"{folder}/spool"},
        "token_file": f"{folder}/token",
        "receive_token_file": f"{folder}/receive-token",
        "api": {"port": 0},
        "console": None,
    }
    file = folder / "recwatch.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def backfill(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["backfill", *map(str, arguments)])


def stored(file: Path) -> dict[str, list[tuple[int, float]]]:
    """Every row in the store, by series."""
    store = open_store(load_config(file).store)
    try:
        series = store.series("shop")
        rows = store.read([one.id for one in series], 0, 2**42)
        return {one.key: list(zip(rows[one.id][0].tolist(), rows[one.id][1].tolist(), strict=True)) for one in series}
    finally:
        store.close()


def check_complete(rows: dict[str, list[tuple[int, float]]], minutes: int) -> None:
    """Raw rows are Prometheus's, signals are right, and nothing is there twice."""
    raw = {key: found for key, found in rows.items() if "instance=" in key}
    assert len(raw) == len(TARGETS) * len(COUNTED)
    for found in rows.values():
        assert max(Counter(time_ms for time_ms, _ in found).values()) == 1
    ok = raw['recommender_requests_total{instance="10.0.0.1:8000",job="ranker",outcome="ok",service="shop"}']
    assert len(ok) == minutes
    assert all(value == 0.75 * requests_until(time_ms / 1000) for time_ms, value in ok)
    rates = rows['requests_per_second{service="shop"}']
    assert len(rates) == minutes
    for time_ms, value in rates:
        grown = requests_until(time_ms / 1000) - requests_until(time_ms / 1000 - STEP_S)
        assert value == pytest.approx(2 * grown / STEP_S)
    errors = rows['errors_ratio{service="shop"}']
    assert [value for _, value in errors] == pytest.approx([0.25] * minutes)


def test_the_past_comes_in_whole_after_a_kill_between_storing_and_remembering(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    file = configured(tmp_path)
    asked = [file, prometheus.url, "--days", 0.5]
    killed = subprocess.run([sys.executable, "-c", KILLED, "backfill", *map(str, asked)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    part = stored(file)['requests_per_second{service="shop"}']
    assert len(part) == 360
    done = backfill(*asked)
    assert done.exit_code == 0, done.output
    assert "the detectors have learnt" in done.output
    rows = stored(file)
    check_complete(rows, minutes=720)
    again = backfill(*asked)
    assert "is filled in and learnt already" in again.output
    assert stored(file) == rows
    other = backfill(file, prometheus.url, "--step", "30s")
    assert (other.exit_code, "would double it" in other.output) == (1, True)


def test_learning_that_was_broken_off_is_done_once_more(
    prometheus: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = configured(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("recwatch.app.filling.Filling.teach", interrupted)
        assert backfill(file, prometheus.url, "--days", 0.1).exit_code == 130
    done = backfill(file, prometheus.url, "--days", 0.1)
    assert done.exit_code == 0, done.output
    assert "the detectors have learnt" in done.output
    check_complete(stored(file), minutes=144)


def interrupted(*_: object) -> int:
    raise KeyboardInterrupt


def test_detectors_start_with_what_they_were_taught(prometheus: Prometheus, tmp_path: Path) -> None:
    file = configured(tmp_path)
    assert backfill(file, prometheus.url, "--days", 0.1).exit_code == 0
    pipeline = Pipeline(load_config(file), SystemClock())
    detection = pipeline._detectors.stage
    known = {series.name for series in detection._ensemble.roster.series}
    pipeline.stop()
    assert {"requests_per_second", "errors_ratio", "latency_mean_seconds"} <= known


def test_a_query_can_give_a_signal_itself(prometheus: Prometheus, tmp_path: Path) -> None:
    file = configured(tmp_path, receive=(), targets=["http://127.0.0.1:1/metrics"])
    query = "sum(rate(recommender_requests_total[2m]))"
    done = backfill(file, prometheus.url, "--days", 0.1, "--signal", f"requests_per_second={query}")
    assert done.exit_code == 0, done.output
    rows = stored(file)
    assert list(rows) == ['requests_per_second{service="shop"}']
    (rates,) = rows.values()
    for time_ms, value in rates[3:]:
        grown = requests_until(time_ms / 1000) - requests_until(time_ms / 1000 - 120)
        assert value == pytest.approx(2 * grown / 120)


def test_a_table_gives_the_same_as_a_prometheus(tmp_path: Path) -> None:
    file = configured(tmp_path)
    dsn = load_config(file).store
    table = Connection(parse_dsn(dsn))
    table.command("CREATE TABLE past (ts DateTime64(3), metric String, tags Map(String, String), v Float64) ORDER BY ts")
    for target in TARGETS:
        for row, share in COUNTED.items():
            name, _, label = row.partition("{")
            tags = {"job": "ranker", "instance": target} | ({label.partition("=")[0]: label.split('"')[1]} if label else {})
            values = ", ".join(
                f"(fromUnixTimestamp64Milli({at_s * 1000}), '{name}', {tags}, {share * requests_until(at_s)!r})"
                for at_s in range(END_S - 13 * 3600, END_S + 1, STEP_S)
            )
            table.command(f"INSERT INTO past VALUES {values}")
    table.command("INSERT INTO past VALUES (now(), 'up', {'job': 'other'}, 1)")
    table.close()
    columns = "time=ts,value=v,name=metric,labels=tags"
    done = backfill(file, dsn, "--days", 0.5, "--table", "past", "--columns", columns)
    assert done.exit_code == 0, done.output
    check_complete(stored(file), minutes=720)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://127.0.0.1:9"], "does not answer a query"),
        (["http://127.0.0.1:9", "--step", "2m"], "is not between 1s and 60s"),
        (["http://127.0.0.1:9", "--service", "none"], "there are: shop"),
        (["http://127.0.0.1:9", "--signal", "nonsense=up"], "are no canonical signals"),
        (["http://127.0.0.1:9", "--match", "{"], "is no series selector"),
        (["http://127.0.0.1:9", "--credentials-file", "/nowhere"], "cannot be read"),
        (["chdb:///nowhere", "--table", "a;b"], "is no name of a table"),
        (["chdb:///nowhere", "--columns", "when=ts"], "names no columns"),
        (["{prometheus}", "--signal", "requests_per_second=sum("], "refuses the query"),
        (["http://me:secret@127.0.0.1:9"], "holds a user or password"),
        (["http://[::1"], "is no URL"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    prometheus: Prometheus, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = backfill(configured(tmp_path), *(argument.replace("{prometheus}", prometheus.url) for argument in arguments))
    assert done.exit_code == 1
    assert words in done.output.replace("\n", " ")
    assert "secret" not in done.output


def test_a_search_in_vain_says_so_and_another_may_follow(prometheus: Prometheus, tmp_path: Path) -> None:
    file = configured(tmp_path)
    nothing = backfill(file, prometheus.url, "--days", 0.1, "--match", '{job="rankers"}')
    assert (nothing.exit_code, "nothing was found of which signals of shop" in nothing.output) == (1, True)
    assert "have learnt" in backfill(file, prometheus.url, "--days", 0.1).output
    check_complete(stored(file), minutes=144)
