"""What the console's charts are made of, without a browser."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from dashboards.console.charts import chart, tables
from recwatch.client import Bands
from recwatch.core.events import Anomaly, Mark
from tests.dashboards.story import anomaly, deploy_mark

BANDS = Bands([1000, 2000], [0.02, 0.03], [0.02, None], [0.01, None], [0.03, None], [0.1, None])


def test_every_layer_names_data_and_fields_that_the_tables_hold() -> None:
    data = tables(BANDS, "seconds", (1000, 2000))
    for layer in chart("seconds")["layer"]:
        columns = data[layer["data"]["name"]].column_names
        encodings = (e for value in layer["encoding"].values() for e in (value if isinstance(value, list) else [value]))
        assert {e["field"] for e in encodings} <= set(columns)


def test_values_are_in_the_unit_that_is_shown_with_gaps_where_a_detector_abstained() -> None:
    data = tables(BANDS, "seconds", (1000, 2000), objective=0.1)
    assert data["points"]["value"].to_pylist() == [20.0, 30.0]
    assert math.isnan(data["points"]["upper"].to_pylist()[1])
    assert data["objective"]["bound"].to_pylist() == [100.0, 100.0]


@pytest.mark.parametrize(("objective", "top_ms"), [(None, 45.0), (0.1, 150.0)])
def test_a_band_that_exploded_leaves_the_measured_line_its_height(objective: float | None, top_ms: float) -> None:
    wide = Bands([1000, 2000], [0.02, 0.03], [0.02, 5.0], [-40.0, None], [1e6, None], [0.1, None])
    points = tables(wide, "seconds", (1000, 2000), objective=objective)["points"]
    assert (points["lower"][0].as_py(), points["upper"][0].as_py()) == (0.0, pytest.approx(top_ms))
    assert points["expected"].to_pylist() == [20.0, pytest.approx(top_ms)]
    assert points["value"].to_pylist() == [20.0, 30.0]


def test_a_band_around_nothing_is_shown_whole() -> None:
    idle = Bands([1000], [0.0], [1.0], [0.0], [2.0], [0.1])
    assert tables(idle, "requests", (0, 1000))["points"]["upper"].to_pylist() == [2.0]


def test_what_happened_is_cut_to_the_window() -> None:
    happened: list[Anomaly | Mark] = [
        anomaly("queue_depth", 500),
        anomaly("queue_depth", 100, end_ms=900),
        deploy_mark(1500),
        deploy_mark(2500),
    ]
    data = tables(BANDS, "seconds", (1000, 2000), happened)
    assert data["anomalies"].to_pylist() == [{"time": 1000, "end": 2000}]
    assert data["marks"]["time"].to_pylist() == [1500]
    assert data["marks"]["what"].to_pylist()[0].startswith("deploy: ranker 2024-05 <b>")


def test_a_chart_does_not_load_pandas_or_altair() -> None:
    code = (
        "import sys; from dashboards.console.charts import tables; from recwatch.client import Bands;"
        "tables(Bands([1], [1.0], [None], [None], [None], [None]), 'ratio', (0, 1));"
        "sys.exit(bool({'pandas', 'altair'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
