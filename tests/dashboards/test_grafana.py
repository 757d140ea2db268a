"""The Grafana dashboard: the same bytes each time, and every query answerable from our own metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dashboards.grafana import build
from recwatch.app.telemetry import metric_names
from recwatch.core.canonical import SIGNALS
from recwatch.core.errors import Unavailable

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def dashboard(tmp_path: Path) -> Any:
    (path,) = build(tmp_path)
    return json.loads(path.read_text())


def panels(dashboard: Any) -> list[Any]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Any) -> list[str]:
    variables = [v["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]] + variables


def test_the_dashboard_is_the_golden_file(tmp_path: Path) -> None:
    for path in build(tmp_path):
        assert path.read_text() == (GOLDEN / path.name).read_text(), (
            "look at the change, then build into tests/dashboards/golden"
        )


def test_queries_name_metrics_that_are_exported_and_signals_that_exist(dashboard: Any) -> None:
    for query in queries(dashboard):
        named = set(re.findall(r"\brecwatch_\w+", query))
        assert named, query
        assert named <= metric_names(), query
        assert set(re.findall(r'signal="(\w+)"', query)) <= set(SIGNALS), query


def test_every_panel_is_on_the_grid_beside_no_other(dashboard: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_rows_stand_in_the_order_in_which_they_are_read(dashboard: Any) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic, errors, latency", "Saturation", "GPU", "recwatch"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        build(tmp_path / "file")
