"""The distributed deployment: every role a process of its own, on a real broker and a served store."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from kafka import KafkaAdminClient
from typer.testing import CliRunner

from recwatch.app.cli import app
from recwatch.core.bus.brokers import Brokers
from tests.app.fleet import RECWATCH, Fleet, Running, fleet
from tests.app.shop import until
from tests.app.test_cli import ended, written
from tests.collectors.server import Answer, page, serving

ROLES = ("collectors", "sink", "detectors", "alerting", "tuning", "api")
NO_STORE = "clickhouse://recwatch@127.0.0.1:9/default"
SERVICES = [f"shop-{number}" for number in range(6)]


def failing(share: float) -> Answer:
    """A Triton of whose requests this share fails, more at every scrape."""
    scrapes = 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal scrapes
        scrapes += 1
        counts = {"success": 200 * scrapes * (1 - share), "failure": 200 * scrapes * share}
        families = (
            f"# TYPE nv_inference_request_{outcome} counter\n"
            f'nv_inference_request_{outcome}{{model="ranker",version="1"}} {count}\n'
            for outcome, count in counts.items()
        )
        page("".join(families))(handler)

    return answer


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address, and what is posted there."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def content_of(folder: Path, brokers: Brokers, services: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "services": services,
        "bus": str(brokers),
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None,
        **more,
    }


def published(collectors: Running) -> dict[str, float]:
    """How many samples of which service this process has published."""
    lines = collectors.get("/metrics").text.splitlines()
    found = [line.split('"') for line in lines if line.startswith("recwatch_samples_published_total{")]
    return {name: float(value.removeprefix("} ")) for _, name, value in found}


def shares(*collectors: Running) -> list[set[str]]:
    """The services that each process scrapes while every service is scraped a few times."""
    before = [published(one) for one in collectors]

    def grown() -> list[dict[str, float]]:
        now = [published(one) for one in collectors]
        return [
            {n: v - old.get(n, 0) for n, v in new.items() if v > old.get(n, 0)} for old, new in zip(before, now, strict=True)
        ]

    until(lambda: all(sum(one.get(name, 0) for one in grown()) >= 20 for name in SERVICES), "every service is scraped")
    return [set(one) for one in grown()]


def test_all_roles_as_processes_tell_an_incident(tmp_path: Path, brokers: Brokers) -> None:
    with serving() as server, webhook() as (hook, posted):
        server.answers["/metrics"] = failing(0.3)
        promised = {"latency_p99": "100ms", "errors_ratio": 0.01}
        shop = {"name": "shop", "targets": [server.url("/metrics")], "scrape_interval": "500ms", "objective": promised}
        content = content_of(tmp_path, brokers, [shop], notify=[{"type": "webhook", "url": hook}])
        with fleet(tmp_path, content) as deployment:
            started = {name: deployment.role(name) for name in ROLES}
            running = {name: deployment.running(process) for name, process in started.items()}
            until(lambda: posted, "the incident is told")
            assert posted[0]["incident"]["service"] == "shop"
            api = running["api"]
            until(lambda: api.get("/api/services").json()[0]["targets"], "the API hears of the targets")
            (service,) = api.get("/api/services").json()
            assert [(t["url"], t["up"], t["job"]) for t in service["targets"]] == [(server.url("/metrics"), True, "triton")]
            assert service["state"] == "incident"
            until(lambda: running["sink"].metric('recwatch_samples_stored_total{topic="samples"}'), "samples are stored")
            assert running["detectors"].metric('recwatch_delay_seconds_count{stage="detectors"}') > 0
            assert {name: one.end() for name, one in running.items()} == dict.fromkeys(ROLES, 0)
        with closing(KafkaAdminClient(**brokers.arguments())) as admin:
            groups = {group["group_id"].removeprefix(f"{brokers.prefix}.") for group in admin.list_groups()}
        assert {"sink", "detectors", "collectors"} <= groups
        assert not [group for group in groups if group.startswith("live-")]


def test_services_are_shared_out_and_those_of_a_killed_collector_move(tmp_path: Path, brokers: Brokers) -> None:
    with serving() as server:
        for name in SERVICES:
            server.answers[f"/{name}"] = page("up_and_away 1\n")
        services = [{"name": n, "targets": [server.url(f"/{n}")], "scrape_interval": "200ms"} for n in SERVICES]
        deployment = Fleet(tmp_path, content_of(tmp_path, brokers, services, store=NO_STORE))
        with deployment.stack:
            one, other = map(deployment.running, [deployment.role("collectors") for _ in range(2)])
            until(lambda: published(one) and published(other), "both scrape")
            mine, its = shares(one, other)
            assert (mine & its, mine | its) == (set(), set(SERVICES))
            one.process.send_signal(signal.SIGKILL)
            assert shares(other) == [set(SERVICES)]
            assert other.end() == 0


def test_wrong_uses_are_a_sentence_each(tmp_path: Path, brokers: Brokers) -> None:
    good = content_of(tmp_path, brokers, [{"name": "shop", "targets": ["http://127.0.0.1:9/metrics"]}], store=NO_STORE)
    for role, wrong, sentence in (
        ("sink", {"bus": "memory"}, "bus: memory is within one process; name the brokers, as in kafka://host:9092, or use"),
        ("sink", {"store": "chdb://a/store"}, "store: chdb://a/store can be opened by one process alone; serve it with "),
        ("painter", {}, "'painter' is no role; they are: collectors, sink, detectors, alerting, tuning, api, console"),
        ("console", {}, "console: null says that there is to be no console; give it a port, as in "),
    ):
        result = CliRunner().invoke(app, ["run", role, str(written(tmp_path, good | wrong))])
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert result.stderr.startswith(f"recwatch: {sentence}")


def test_what_is_taken_or_away_at_the_start_is_a_sentence(tmp_path: Path, brokers: Brokers) -> None:
    good = content_of(tmp_path, brokers, [{"name": "shop", "targets": ["http://127.0.0.1:9/metrics"]}], store=NO_STORE)
    away = good | {"bus": "kafka://127.0.0.1:9/p"}
    with socket.create_server(("127.0.0.1", 0)) as taken, ExitStack() as stack:
        port = str(taken.getsockname()[1])
        sentences = {
            f"recwatch run sink cannot listen on 127.0.0.1:{port} (Address already in use). Free the port or set --port.": (
                good,
                port,
            ),
            "bus kafka://127.0.0.1:9/p: it cannot be reached; see whether its brokers are up (": (away, "0"),
            "store clickhouse://127.0.0.1:9/default: it cannot be reached; see whether the server is up and ": (good, "0"),
        }
        ending = {}
        for number, (sentence, (content, port)) in enumerate(sentences.items()):
            (tmp_path / str(number)).mkdir()
            command = [*RECWATCH, "run", "sink", str(written(tmp_path / str(number), content)), "--port", port]
            ending[sentence] = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        for sentence, process in ending.items():
            code, lines = ended(process)
            assert (code, len(lines)) == (1, 1), lines
            assert lines[0].startswith(f"recwatch: {sentence}")
