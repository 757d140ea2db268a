"""What roles are as processes of their own, on a real broker: their services shared out, their wrong uses told."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.program import Answering, role_command
from recwatch.app.children import Child
from recwatch.app.cli import app
from recwatch.core.bus.brokers import Brokers
from tests.collectors.server import page, serving
from tests.waiting import ENOUGH_S, until

NO_STORE = "clickhouse://recwatch@127.0.0.1:9/default"
SERVICES = [f"shop-{number}" for number in range(6)]


def written(folder: Path, brokers: Brokers, **more: Any) -> Path:
    """A configuration over these brokers; `more` are further keys of it, or others than the usual ones."""
    content = {
        "services": [{"name": "shop", "targets": ["http://127.0.0.1:9/metrics"]}],
        "bus": str(brokers),
        "store": NO_STORE,
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None,
        **more,
    }
    file = folder / "recwatch.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def collectors(tmp_path: Path, brokers: Brokers) -> Iterator[list[Answering]]:
    """Two processes of collectors, ready, that share the services; each reads the file by a link in a folder of its own."""
    with serving() as server, ExitStack() as running:
        for name in SERVICES:
            server.answers[f"/{name}"] = page("up_and_away 1\n")
        services = [{"name": n, "targets": [server.url(f"/{n}")], "scrape_interval": "200ms"} for n in SERVICES]
        file = written(tmp_path, brokers, services=services)
        links = [Path(mkdtemp(dir=tmp_path)) / "recwatch.yaml" for _ in range(2)]
        for link in links:
            link.symlink_to(file)
        commands = [role_command("collectors", link) for link in links]
        both = [running.enter_context(Answering("collectors", command, tmp_path)) for command in commands]
        until(lambda: all(one.answers() for one in both), "both are ready")
        yield both


def published(collectors: Answering) -> dict[str, float]:
    """How many samples of which service this process has published."""
    lines = collectors.get("/metrics").text.splitlines()
    found = [line.split('"') for line in lines if line.startswith("recwatch_samples_published_total{")]
    return {name: float(value.removeprefix("} ")) for _, name, value in found}


def shares(*collectors: Answering) -> list[set[str]]:
    """The services that each process scrapes while every service is scraped a few times."""
    before = [published(one) for one in collectors]

    def grown() -> list[dict[str, float]]:
        now = [published(one) for one in collectors]
        return [
            {n: v - old.get(n, 0) for n, v in new.items() if v > old.get(n, 0)} for old, new in zip(before, now, strict=True)
        ]

    until(lambda: all(sum(one.get(name, 0) for one in grown()) >= 20 for name in SERVICES), "every service is scraped")
    return [set(one) for one in grown()]


def test_services_are_shared_out_and_those_of_a_killed_collector_move(collectors: list[Answering]) -> None:
    one, other = collectors
    until(lambda: published(one) and published(other), "both scrape")
    mine, its = shares(one, other)
    assert (mine & its, mine | its) == (set(), set(SERVICES))
    os.kill(one.pid, signal.SIGKILL)
    assert shares(other) == [set(SERVICES)]
    other.stop(ENOUGH_S)
    assert other.exit_code == 0


@pytest.mark.parametrize(
    ("role", "wrong", "sentence"),
    [
        ("sink", {"bus": "memory"}, "bus: memory is within one process; name the brokers, as in kafka://host:9092, or use"),
        ("sink", {"store": "chdb://a/store"}, "store: chdb://{folder}/a/store can be opened by one process alone; serve it"),
        ("painter", {}, "'painter' is no role; they are: collectors, sink, detectors, alerting, tuning, api, console"),
        (
            "api --port 8300",
            {},
            "the API answers at api.port, 0, where commands and console look for it; leave --port out, or",
        ),
        ("console", {}, "console: null says that there is to be no console; give it a port, as in "),
    ],
)
def test_a_wrong_use_is_a_sentence(tmp_path: Path, role: str, wrong: dict[str, str], sentence: str) -> None:
    file = written(tmp_path, Brokers(("127.0.0.1:9",)), **wrong)
    result = CliRunner().invoke(app, ["run", *role.split(), str(file)])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"recwatch: {sentence.format(folder=tmp_path)}")


def test_what_is_taken_or_away_at_the_start_is_a_sentence(tmp_path: Path, brokers: Brokers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ExitStack() as running:
        port = str(taken.getsockname()[1])
        cases = [
            (
                f"recwatch run sink cannot listen on 127.0.0.1:{port}: process {os.getpid()} (",
                {},
                ["--port", port],
            ),
            (
                "bus kafka://127.0.0.1:9/p: it cannot be reached; see whether its brokers are up (",
                {"bus": "kafka://127.0.0.1:9/p"},
                [],
            ),
            ("store clickhouse://127.0.0.1:9/default: it cannot be reached; see whether the server is up and ", {}, []),
        ]
        ending: dict[str, Child] = {}
        for sentence, wrong, options in cases:
            folder = Path(mkdtemp(dir=tmp_path))
            command = [*role_command("sink", written(folder, brokers, **wrong)), *options]
            ending[sentence] = running.enter_context(Child("sink", command, cwd=folder))
        until(lambda: not any(one.running() for one in ending.values()), "all have ended")
        for sentence, one in ending.items():
            assert one.exit_code == 1
            assert one.failure().startswith(f"sink ended with exit code 1: recwatch: {sentence}")
            assert len(one.lines) == 1
