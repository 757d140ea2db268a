from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from recwatch.core.errors import BadInput, Unavailable
from tuning.actuators import ACTUATORS, Actuator, Knob


class KnobServer(ThreadingHTTPServer):
    """A service that keeps the contract of `/knobs`; `broken` makes it answer something else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), KnobHandler)
        self.knobs: dict[str, dict[str, Any]] = {
            "max_batch": {"value": 2, "low": 1, "high": 64},
            "model_version": {"value": "v1", "choices": ["v1", "v2"]},
        }
        self.broken: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/knobs"


class KnobHandler(BaseHTTPRequestHandler):
    server: KnobServer

    def do_GET(self) -> None:
        self._answer(200, self.server.knobs)

    def do_PATCH(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for name, value in wanted.items():
            knob = self.server.knobs.get(name)
            if knob is None or ("high" in knob and not knob["low"] <= value <= knob["high"]):
                self._answer(422, {"detail": f"{name} cannot be {value}"})
                return
            knob["value"] = value
        self._answer(200, self.server.knobs)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        pass

    def _answer(self, status: int, body: object) -> None:
        status, raw = self.server.broken or (status, json.dumps(body).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def server() -> Iterator[KnobServer]:
    running = KnobServer()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(params=sorted(ACTUATORS))
def actuator(request: pytest.FixtureRequest, server: KnobServer) -> Iterator[Actuator]:
    made = ACTUATORS[request.param](server.url)
    yield made
    made.close()


def test_it_reads_every_knob_with_its_range(actuator: Actuator) -> None:
    assert actuator.read() == {
        "max_batch": Knob(2, low=1, high=64),
        "model_version": Knob("v1", choices=("v1", "v2")),
    }


def test_what_is_applied_is_read_back(actuator: Actuator) -> None:
    assert actuator.apply("max_batch", 16) == 16
    assert actuator.apply("model_version", "v2") == "v2"
    assert {name: knob.value for name, knob in actuator.read().items()} == {"max_batch": 16, "model_version": "v2"}


def test_applying_twice_is_applying_once(actuator: Actuator) -> None:
    assert [actuator.apply("max_batch", 8), actuator.apply("max_batch", 8)] == [8, 8]


def test_a_refused_value_is_bad_input_with_the_servers_words(actuator: Actuator) -> None:
    with pytest.raises(BadInput, match="max_batch cannot be 1000"):
        actuator.apply("max_batch", 1000)


def test_a_failing_server_is_unavailable(actuator: Actuator, server: KnobServer) -> None:
    server.broken = (503, b"overloaded")
    with pytest.raises(Unavailable, match="503"):
        actuator.read()


def test_an_answer_without_knobs_is_bad_input(actuator: Actuator, server: KnobServer) -> None:
    server.broken = (200, b"<html>hello</html>")
    with pytest.raises(BadInput, match="something else than knobs"):
        actuator.read()


@pytest.mark.parametrize("kind", sorted(ACTUATORS))
def test_nobody_listening_is_unavailable(kind: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        made = ACTUATORS[kind](f"http://127.0.0.1:{unused.getsockname()[1]}/knobs")
        with pytest.raises(Unavailable, match="/knobs"):
            made.read()
        made.close()
