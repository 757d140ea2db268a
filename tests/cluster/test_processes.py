"""Every role a process of its own, on a real broker and a served store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path

import httpx
import pytest
from kafka import KafkaAdminClient
from rich.console import Console

from cluster.processes import STARTS, STORE, Processes
from faults.source import Source
from recwatch.app.cast import Inbox
from recwatch.core.bus.brokers import Brokers
from recwatch.core.clock import SystemClock
from tests.waiting import until


@pytest.fixture
def source() -> Iterator[Source]:
    """A shop, some of whose requests fail."""
    with closing(Source(["shop"], SystemClock())) as source:
        source.fail("shop")
        yield source


def test_many_processes_tell_an_incident_and_store_what_they_scraped_once(
    tmp_path: Path, brokers: Brokers, source: Source
) -> None:
    page = source.url("shop")
    promised = {"latency_p99": "100ms", "errors_ratio": 0.01}
    content = {
        "services": [{"name": "shop", "targets": [page], "scrape_interval": "500ms", "objective": promised}],
        "spool": {"folder": f"{tmp_path}/spool"},
        "token_file": f"{tmp_path}/token",
        "console": None,
    }
    out = StringIO()
    inbox = Inbox(Console(file=out), SystemClock())
    monitor = Processes(str(brokers), content, tmp_path, inbox)
    try:
        monitor.start()
        assert {*monitor.processes} == {role for together in STARTS for role in together} - {"console"} | {STORE}
        until(lambda: "shop: " in out.getvalue(), "the incident is told")
        services = f"{monitor.addresses['API']}/api/services"
        until(lambda: httpx.get(services, trust_env=False).json()[0]["targets"], "the API hears of the targets")
        (service,) = httpx.get(services, trust_env=False).json()
        assert [(target["url"], target["up"], target["job"]) for target in service["targets"]] == [(page, True, "triton")]
        assert service["state"] == "incident"
        told = monitor.processes["detectors"].get("/metrics").text
        assert re.search(r'^recwatch_delay_seconds_count\{stage="detectors"\} [1-9]', told, re.MULTILINE)
        monitor.check()
    finally:
        monitor.stop()  # raises for a role that did not end well
    with closing(KafkaAdminClient(**brokers.arguments())) as admin:
        groups = {group["group_id"].removeprefix(f"{brokers.prefix}.") for group in admin.list_groups()}
    assert {"sink", "detectors", "collectors"} <= groups
    assert not [group for group in groups if group.startswith("live-")]
    counts = monitor.counts()
    assert counts.samples_scraped == counts.samples_stored > 0
    assert counts.alerts_sent == inbox.messages.total()
