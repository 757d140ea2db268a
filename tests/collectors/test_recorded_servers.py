"""Every figure that was read by eye off a recorded page of a model server is what the normaliser makes of that page."""

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.pages import PageRead

DUMPS = Path(os.environ.get("RECWATCH_DATA", "absent"), "dumps")
KINDS = ("ray", "sglang", "torchserve", "triton", "vllm")
SAME = ("model", "application", "route", "code", "deployment")
LABELS = {
    **{name: name for name in SAME},
    **dict.fromkeys(("model_name", "name", "ModelName"), "model"),
    **dict.fromkeys(("status_code", "error_code"), "code"),
    "model_version": "version",
    "gpu_uuid": "gpu",
    "ip": "host",
}
Figure = Callable[[PageRead, dict[str, str]], float | None]


def signal(name: str, **fixed: str) -> Figure:
    return lambda page, labels: page.signal(name, **labels, **fixed)


def total(quantity: str) -> Figure:
    return lambda page, labels: page.total(quantity, **labels)


def latency(what: str) -> Figure:
    """Of a deployment of Ray Serve it is a stage's."""
    return lambda page, labels: page.signal(
        f"stage_latency_{what}" if "deployment" in labels else f"latency_{what}", **labels
    )


FIGURES: dict[str, Figure] = {
    "server.requests_total": total("requests"),
    "server.errors_total": total("requests_failed"),
    "server.prompt_tokens_total": total("prompt_tokens"),
    "server.generated_tokens_total": total("generated_tokens"),
    "server.mean_latency": latency("mean_seconds"),
    "server.p99_latency": latency("p99_seconds"),
    "server.mean_queue": signal("stage_latency_mean_seconds", stage="queue"),
    "server.p99_queue": signal("stage_latency_p99_seconds", stage="queue"),
    "server.mean_compute": signal("stage_latency_mean_seconds", stage="compute_infer"),
    "server.mean_batch": signal("batch_size_mean"),
    "server.queue_depth": signal("queue_depth"),
    "server.mean_first_response": signal("first_token_mean_seconds"),
    "server.p99_first_response": signal("first_token_p99_seconds"),
    "server.p99_time_to_first_token": signal("first_token_p99_seconds"),
    "server.mean_time_per_output_token": signal("output_token_mean_seconds"),
    "server.p99_tokens_per_iteration": signal("iteration_tokens_p99"),
    "server.kv_cache_used_ratio": signal("kv_cache_used_ratio"),
    "server.prefix_cache_hit_ratio": signal("prefix_cache_hit_ratio"),
    "server.last_prediction_time": signal("last_prediction_seconds"),
    "cpu.busy": signal("host_cpu_busy_ratio"),
    "memory.used": signal("host_memory_used_bytes"),
    "gpu.memory_used": signal("gpu_memory_used_bytes"),
    "gpu.memory_used_ratio": signal("gpu_memory_used_ratio"),
    "gpu.power": signal("gpu_power_watts"),
    "gpu.energy_total": total("gpu_energy_joules"),
}


def facts() -> Iterator[Any]:
    if not DUMPS.is_dir():
        return
    for page in map(json.loads, (DUMPS / "index.jsonl").read_text().splitlines()):
        if page["kind"] in KINDS:
            for fact in page["facts"]:
                if page["kind"] == "ray" and not fact["signal"].startswith("server."):
                    continue  # the machine's, not Ray Serve's
                told = " ".join(fact["series_hint"].values())
                yield pytest.param(page["file"], fact, id=f"{page['file']} {fact['signal']} {told}")


@cache
def read(file: str) -> PageRead:
    return PageRead((DUMPS / file).read_text())


@pytest.mark.skipif(not DUMPS.is_dir(), reason="RECWATCH_DATA names no folder with dumps/*.txt")
@pytest.mark.parametrize(("file", "fact"), list(facts()))
def test_a_recorded_page_reads_as_it_was_read_by_eye(file: str, fact: dict[str, Any]) -> None:
    labels = {LABELS[name]: value for name, value in fact["series_hint"].items()}
    figure = FIGURES[fact["signal"]](read(file), labels)
    assert figure == (None if fact.get("must_be_absent") else pytest.approx(fact["expected"]))
