"""The console in a real browser, over a real API and a real bus: see the incident, approve the proposal."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from cluster.ports import free_ports
from dashboards.console.launch import command
from recwatch.app.children import Child
from recwatch.core.bus import Subscription
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import SystemClock
from recwatch.core.proposals import Decision
from recwatch.core.signals import Samples, SeriesSet
from tests.app.world import TOKEN, World
from tests.conftest import require
from tests.dashboards.story import proposal, surge_incident, verified
from tests.waiting import until

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 60_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
def world() -> Iterator[World]:
    require("chromium", CHROMIUM is not None, "no program called chromium is on the PATH")
    with World(SystemClock()) as world:
        yield world


@pytest.fixture
def page(world: World, tmp_path: Path) -> Iterator[Page]:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    [port] = free_ports(1)
    with Child("the console", command(world.url, token_file, port)) as child, sync_playwright() as playwright:
        until(lambda: any("URL:" in line for line in list(child.lines)) or child.failure(), "the console is up")
        child.require_running()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{port}/", timeout=PATIENCE_MS)
        yield page
        browser.close()


def approved(subscription: Subscription) -> Decision:
    (record,) = subscription.poll(PATIENCE_MS / 1000)
    assert isinstance(record.message, Decision)
    return record.message


def test_a_person_sees_the_incident_and_approves_the_proposal(world: World, page: Page) -> None:
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url) if "//127.0.0.1:" not in request.url else None)
    subscription = world.bus.subscribe("tuning", ("decisions",))
    old = proposal(0)

    expect(page.get_by_role("link", name="replicas 1 → 2")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="shop", exact=True).click(timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="shop: incident, load surge")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Requests per second are 2.4 times what is expected")).to_be_visible()
    expect(page.get_by_text("p99 latency changed from 31 ms to <b>198 ms</b>")).to_be_visible()
    expect(page.get_by_text("expected 240/s")).to_have_count(0)
    expect(page.get_by_text("The console acts with recwatch's token")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("replicas 1 → 2"))).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart]").first).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("button", name="Approve").click(timeout=PATIENCE_MS)
    decision = approved(subscription)
    assert (decision.proposal_id, decision.verdict) == (old.id, "approve")
    expect(page.get_by_text("You approved replicas 1 → 2")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)

    world.live.take(verified(old, decision))
    expect(page.get_by_text("p99 is within its objective")).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator("[data-testid=stMain] img").count() == 0, "text of others was rendered as markup"
    assert outside == []


def test_an_api_that_is_gone_is_said_with_what_to_do(world: World, page: Page) -> None:
    expect(page.get_by_role("link", name="shop", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    world.server.stop()
    expect(page.get_by_text("is 'recwatch up' running?")).to_be_visible(timeout=PATIENCE_MS)


def test_the_chosen_service_is_kept_from_page_to_page_and_by_the_address(world: World, page: Page) -> None:
    rate = canonical_series("search", "requests_per_second")
    world.watched.append("search")
    world.live.take(SeriesSet("search", (rate,)))
    world.live.take(Samples.of("search", "", world.view.clock.now_ms(), {rate.id: 5.0}))
    page.get_by_role("link", name="shop", exact=True).click(timeout=PATIENCE_MS)
    heading = page.get_by_role("heading", name="shop: incident, load surge")
    expect(heading).to_be_visible(timeout=PATIENCE_MS)
    for title in ("Incidents", "Targets", "Overview", "Proposals"):
        page.get_by_role("link", name=title).click(timeout=PATIENCE_MS)
        page.wait_for_url(re.compile(title.lower() if title != "Overview" else r"/$"))
        if title != "Overview":
            expect(heading).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_url(re.compile("proposals.*service=shop"))
    page.reload()
    expect(heading).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("combobox", name="Service").click()
    page.get_by_role("option", name="search").click()
    expect(page.get_by_role("heading", name="search")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Targets").click()
    page.wait_for_url(re.compile("targets.*service=search"))
    expect(page.get_by_role("heading", name="search")).to_be_visible(timeout=PATIENCE_MS)


def test_the_link_of_a_message_opens_its_incident(world: World, page: Page) -> None:
    old = replace(surge_incident(world.view.clock.now_ms() - 600_000), id="inc-0", title="an older one", state="resolved")
    world.live.take(old)
    page.goto(f"{page.url}?incident=inc-0")
    expect(page.get_by_text("an older one")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_url(re.compile("incidents.*incident=inc-0"))
    expect(page.get_by_text("http://127.0.0.1:9/x.png)")).to_be_visible(timeout=PATIENCE_MS)
    elsewhere = page.locator("[data-testid=stMain] a[href*='127.0.0.1:9/'], [data-testid=stMain] a[href^='mailto:']")
    expect(elsewhere).to_have_count(0)
