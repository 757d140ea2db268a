"""The service over HTTP, with the real model."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread

import httpx
import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from recommender_ref.cli import app
from recommender_ref.data import World
from recommender_ref.model import Model
from recommender_ref.service import Recommender
from recommender_ref.serving import create_app

DEPTH = 4


@pytest.fixture
def recommender(world: World, model: Model) -> Recommender:
    return Recommender(world, model, DEPTH)


class Server(uvicorn.Server):
    """uvicorn that says when it is ready."""

    ready: Event

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def serving(recommender: Recommender) -> Iterator[httpx.Client]:
    server = Server(uvicorn.Config(create_app(recommender), log_level="critical", timeout_graceful_shutdown=1))
    server.ready = Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        assert server.ready.wait(30)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def client(recommender: Recommender) -> Iterator[httpx.Client]:
    with serving(recommender) as client:
        yield client


def measured(client: httpx.Client, path: str = "/metrics") -> dict[str, float]:
    families = text_string_to_metric_families(client.get(path).text)
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_recommendation_has_k_items_best_first(client: httpx.Client) -> None:
    answer = client.post("/recommend", json={"user_id": 5, "k": 7}).json()
    scores = [item["score"] for item in answer["items"]]
    assert len({item["item_id"] for item in answer["items"]}) == 7
    assert scores == sorted(scores, reverse=True)
    assert answer["model_version"] == "v1"


@pytest.mark.parametrize("body", [{"user_id": 5, "k": 0}, {"user_id": 5, "k": 21}, {"user_id": "x"}, {"user": 5}])
def test_a_malformed_request_is_refused(client: httpx.Client, body: dict[str, object]) -> None:
    assert client.post("/recommend", json=body).status_code == 422


def test_an_unknown_user_gets_a_sentence(client: httpx.Client) -> None:
    answer = client.post("/recommend", json={"user_id": 300})
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no user 300; users are 0 to 299")


def test_concurrent_requests_are_batched_cached_and_counted(client: httpx.Client) -> None:
    client.patch("/knobs", json={"max_batch": 16, "batch_delay_ms": 50, "cache_ttl_s": 3600})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda user: client.post("/recommend", json={"user_id": user}), range(40)))
    assert {answer.status_code for answer in answers} == {200}
    page = measured(client)
    assert page["recommender_requests_total{outcome=ok}"] == 40
    assert page["recommender_batch_size_sum"] == page["recommender_cache_lookups_total{result=miss}"] == 40
    assert page["recommender_batch_size_count"] < 40
    assert page["recommender_request_seconds_count"] == 40
    for stage in ("recall", "rank", "rerank", "batch"):
        assert page[f"recommender_{stage}_seconds_count"] == page["recommender_batch_size_count"]


def test_the_page_has_the_promised_names_and_stays_small(client: httpx.Client) -> None:
    client.post("/recommend", json={"user_id": 1})
    page = measured(client)
    assert page["recommender_model_info{variant=full}{version=v1}"] == 1
    assert page["recommender_knob{knob=max_batch}"] == 2
    assert page["recommender_replicas"] == 1
    assert page["recommender_queue_depth"] == 0
    assert page["recommender_replica_busy_seconds_total{replica=0}"] > 0
    assert "recommender_shadow_quality_ratio" in page
    assert len(page) < 450
    assert not [name for name in page if "_created" in name]


def test_knobs_are_changed_all_or_none(client: httpx.Client) -> None:
    before = client.get("/knobs").json()
    refusal = client.patch("/knobs", json={"replicas": 2, "max_batch": 65})
    assert (refusal.status_code, refusal.json()["detail"]) == (422, "max_batch is 65; give a whole number from 1 to 64")
    assert client.get("/knobs").json() == before
    after = client.patch("/knobs", json={"replicas": 2, "variant": "light"}).json()
    assert (after["replicas"]["value"], after["variant"]["value"]) == (2, "light")
    assert measured(client)["recommender_replicas"] == 2
    assert measured(client)["recommender_model_info{variant=light}{version=v1}"] == 1


def test_another_version_answers_at_once(client: httpx.Client) -> None:
    client.post("/recommend", json={"user_id": 2})
    client.patch("/knobs", json={"model_version": "v2"})
    assert client.post("/recommend", json={"user_id": 2}).json()["model_version"] == "v2"


def test_a_full_queue_sheds_with_retry_after(client: httpx.Client) -> None:
    # One place in the queue, and a replica that waits for company: of several at once most are refused.
    client.patch("/knobs", json={"max_queue": 1, "max_batch": 64, "batch_delay_ms": 50})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda user: client.post("/recommend", json={"user_id": user}), range(40)))
    shed = [answer for answer in answers if answer.status_code == 503]
    assert shed
    assert shed[0].headers["Retry-After"] == "1"
    assert measured(client)["recommender_requests_total{outcome=shed}"] == len(shed)
    assert measured(client)["recommender_requests_total{outcome=ok}"] == 40 - len(shed)


def test_a_model_that_fails_is_an_error_of_each_request_and_the_replica_lives_on(world: World) -> None:
    with serving(Recommender(world, Broken(world), DEPTH)) as client:
        failure = client.post("/recommend", json={"user_id": 1})
        assert (failure.status_code, failure.json()["detail"]) == (500, "The model failed: out of memory.")
        assert client.post("/recommend", json={"user_id": 2}).status_code == 500
        assert measured(client)["recommender_requests_total{outcome=error}"] == 2


class Broken(Model):
    def answer(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]  # it never answers
        raise RuntimeError("out of memory")


def test_the_deploy_fault_sets_the_version_and_sets_it_back(client: httpx.Client) -> None:
    started = client.post("/faults", json={"name": "deploy", "duration_s": 600}).json()
    assert (started["state"], started["cause"]) == ("active", "slow_version")
    assert client.get("/knobs").json()["model_version"]["value"] == "v2"
    assert client.delete("/faults/deploy").json()["state"] == "ended"
    assert client.get("/knobs").json()["model_version"]["value"] == "v1"


def test_a_deploy_that_was_rolled_back_stays_rolled_back_while_the_fault_lasts(client: httpx.Client) -> None:
    client.post("/faults", json={"name": "deploy", "duration_s": 600})
    client.patch("/knobs", json={"model_version": "v1"})
    client.get("/gpu/metrics")
    assert client.get("/knobs").json()["model_version"]["value"] == "v1"


def test_a_throttled_gpu_shows_on_its_page(client: httpx.Client) -> None:
    client.post("/faults", json={"name": "throttle", "factor": 2.0})
    page = client.get("/gpu/metrics").text
    assert 'emulated="true"} 705.000000' in next(row for row in page.splitlines() if row.startswith("DCGM_FI_DEV_SM_CLOCK"))
    client.delete("/faults/throttle")
    page = client.get("/gpu/metrics").text
    assert 'emulated="true"} 1410.000000' in next(row for row in page.splitlines() if row.startswith("DCGM_FI_DEV_SM_CLOCK"))


def test_faults_are_listed_and_bad_ones_refused(client: httpx.Client) -> None:
    client.post("/faults", json={"name": "surge", "start_in_s": 100, "duration_s": 10, "factor": 4})
    [fault] = client.get("/faults").json()
    assert (fault["name"], fault["state"], fault["cause"], fault["factor"]) == ("surge", "scheduled", "load_surge", 4.0)
    assert fault["ends_at"] - fault["started_at"] == pytest.approx(10.0)
    assert client.post("/faults", json={"name": "flood"}).status_code == 422
    assert client.delete("/faults/throttle").status_code == 422


def test_faults_are_commanded_from_a_shell(client: httpx.Client) -> None:
    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["fault", *arguments, "--url", str(client.base_url).rstrip("/")])
        return result.exit_code, result.output

    code, told = command("start", "surge", "--duration-s", "60")
    assert (code, json.loads(told)["state"]) == (0, "active")
    assert "surge is not over yet; end it first" in command("start", "surge")[1]
    assert json.loads(command("end", "surge")[1])["state"] == "ended"
    assert [fault["name"] for fault in json.loads(command("list")[1])] == ["surge"]


def test_a_command_without_a_server_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    result = CliRunner().invoke(app, ["fault", "list", "--url", url])
    assert result.exit_code == 1
    assert result.output.startswith(f"No answer from {url}/faults")
