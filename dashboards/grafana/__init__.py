"""Grafana dashboards as code: turns rows of panels into the JSON that Grafana imports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable
from grafana_foundation_sdk.builders.dashboard import Row as RowBuilder
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    VariableRefresh,
)

from dashboards.grafana.panels import ROWS, Panel
from recwatch.core.errors import Unavailable

SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
EDGES = [
    DynamicConfigValue("custom.lineWidth", 1),
    DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [4, 4]}),
    DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "#6e7f94"}),
    DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
]


def documents() -> Mapping[str, str]:
    """Every dashboard as JSON, the same bytes each time, by the name of its file."""
    return {"recwatch.json": json.dumps(_dashboard().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"}


def build(out: Path) -> list[Path]:
    """Write every dashboard into the folder `out`, and return the files. Raises Unavailable when it cannot be written."""
    written = []
    for name, text in documents().items():
        path = out / name
        try:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error
        written.append(path)
    return written


def _dashboard() -> Dashboard:
    dashboard = (
        Dashboard("recwatch")
        .uid("recwatch")
        .description("Services as recwatch sees them: signals between the edges of what is expected, incidents, scores.")
        .tags(["recwatch"])
        .timezone("browser")
        .refresh("5s")
        .time("now-30m", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("source").label("Data source").type("prometheus"))
        .with_variable(
            QueryVariable("service")
            .label("Service")
            .datasource(SOURCE)
            .query("label_values(recwatch_targets_up_ratio, service)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
        )
    )
    ids = count(1)
    for row in ROWS:
        dashboard.with_row(RowBuilder(row.title).id(next(ids)))
        for panel in row.panels:
            dashboard.with_panel(_panel(panel).id(next(ids)))
    return dashboard


def _panel(panel: Panel) -> TimeSeries:
    built = (
        TimeSeries()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .height(7)
        .span(8)
        .line_width(2)
        .legend(
            VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .calcs(["lastNotNull"])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .override_by_regexp(".* (lower|upper)$", EDGES)
    )
    for place, query in enumerate(panel.queries):
        ref = chr(ord("A") + place)
        built.with_target(Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).range())
    return built
