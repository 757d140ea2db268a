"""What a Prometheus is answered: what it must send again, what it must not, and who may send at all."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import httpx
import pytest
from prometheus_client import CollectorRegistry

from collectors.config import ServiceConfig
from collectors.receive import Receiver
from collectors.remote_write import REQUEST_BYTES
from recwatch.app.health import Health, health_app
from recwatch.app.remote_write import Receiving
from recwatch.app.server import Server
from recwatch.core.bus import next_offsets
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import FakeClock
from recwatch.core.signals import Samples
from tests.app.world import TOKEN, World
from tests.collectors import remote_writer

RECEIVE_TOKEN = "a-token-for-samples"
HEADERS = {
    "Authorization": f"Bearer {RECEIVE_TOKEN}",
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
CLOCK = FakeClock()
BODY = remote_writer.request({"up": [(CLOCK.now_ms(), 1.0)]}, job="ranker")


@pytest.fixture
def bus() -> Iterator[MemoryBus]:
    bus = MemoryBus(capacity=3, max_block_s=0.0)
    yield bus
    bus.close()


@pytest.fixture(params=["the API", "a process of collectors"])
def http(bus: MemoryBus, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Whoever may be sent samples to."""
    service = ServiceConfig.model_validate({"name": "shop", "receive": ['{job="ranker"}']})
    receiving = Receiving(Receiver([service], CLOCK, bus.publish), RECEIVE_TOKEN)
    if request.param == "the API":
        with World(CLOCK, receiving) as world:
            yield world.http
        return
    server = Server("127.0.0.1", 0)
    app = health_app(Health(CollectorRegistry(), lambda: "", list), receiving)
    thread = Thread(target=server.serve, args=(app,))
    thread.start()
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        client.get("/healthz")
        yield client
    server.stop()
    thread.join()


def test_what_is_taken_in_is_on_the_bus_before_it_is_answered(bus: MemoryBus, http: httpx.Client) -> None:
    reader = bus.subscribe("reader", ["samples"])
    answer = http.post("/api/v1/write", content=BODY, headers=HEADERS)
    assert (answer.status_code, answer.content) == (204, b"")
    (record,) = reader.poll(max_wait_s=0.0)
    assert isinstance(record.message, Samples)
    assert record.message.value.tolist() == [1.0]


@pytest.mark.parametrize(
    ("changed", "body", "status", "words"),
    [
        ({}, b"nonsense", 400, "not Snappy"),
        ({}, bytes(REQUEST_BYTES + 1), 413, "larger than"),
        ({"Authorization": f"Bearer {TOKEN}"}, BODY, 401, "token"),
        ({"Authorization": ""}, BODY, 401, "token"),
        ({"Content-Encoding": "gzip"}, BODY, 415, "Snappy"),
        ({"Content-Type": "text/plain"}, BODY, 415, "application/x-protobuf"),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, BODY, 415, "version 1.0"),
        ({"Host": "evil.example"}, BODY, 421, "evil.example"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_for_good(
    http: httpx.Client, changed: dict[str, str], body: bytes, status: int, words: str
) -> None:
    answer = http.post("/api/v1/write", content=body, headers=HEADERS | changed)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_the_token_for_samples_is_good_for_nothing_else(http: httpx.Client) -> None:
    answer = http.post("/api/marks", json={}, headers={"Authorization": HEADERS["Authorization"]})
    assert answer.status_code == 401


def test_a_full_bus_asks_for_the_same_request_again(bus: MemoryBus, http: httpx.Client) -> None:
    reader = bus.subscribe("reader", ["samples"])
    for _ in range(3):
        bus.publish("samples", "shop", Samples.of("shop", "", 0, {}))
    answer = http.post("/api/v1/write", content=BODY, headers=HEADERS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    reader.commit(next_offsets(reader.poll(max_wait_s=0.0)))
    assert http.post("/api/v1/write", content=BODY, headers=HEADERS).status_code == 204
    assert [len(record.message) for record in reader.poll(max_wait_s=0.0)] == [1]
