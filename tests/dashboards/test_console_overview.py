"""The table of all services, without a browser."""

from __future__ import annotations

from dataclasses import replace

from dashboards.console.overview import Glance, table
from recwatch.client import ServiceStatus
from recwatch.core.objective import Objective
from tests.dashboards.story import proposal, surge_incident

QUIET = ServiceStatus("a&b", "healthy", (), 30, 0, 1000, 1000, 1000, None, {})


def test_a_service_in_trouble_shows_its_incident_with_a_link_to_it() -> None:
    incident = replace(surge_incident(1_700_000_000_000), title="shop: p99 latency 812 ms (objective 100 ms): load surge")
    shop = replace(QUIET, name="shop", state="incident", objective=Objective(0.1))
    shown = table([Glance(shop, 0.812, 576.0, (incident,), ())])
    assert (
        '<a href="incidents?service=shop&amp;incident=inc-1">p99 latency 812 ms (objective 100 ms): load surge</a>' in shown
    )
    assert "<span class=over>812 ms</span> <span class=bound>/ 100 ms</span>" in shown
    assert ">576/s<" in shown


def test_a_proposal_that_nobody_has_decided_on_is_a_link_to_where_it_is_decided() -> None:
    shop = replace(QUIET, name="shop")
    shown = table([Glance(shop, None, None, (), (proposal(1_700_000_000_000),))])
    assert '<a href="proposals?service=shop">replicas 1 → 2</a>' in shown


def test_what_is_not_measured_is_a_dash_and_names_are_text() -> None:
    shown = table([Glance(QUIET, None, None, (), ())])
    assert '<a href="live?service=a%26b">a&amp;b</a>' in shown
    assert shown.count("–") == 2
    assert "class=over" not in shown


def test_since_when_is_said_of_trouble_only() -> None:
    assert "<td class=state></td>" in table([Glance(QUIET, None, None, (), ())])
    silent = table([Glance(replace(QUIET, state="stale"), None, None, (), ())])
    assert "<td class=state></td>" not in silent
