"""Charts of a signal beside what was expected of it, as Vega-Lite.

The specification of a chart depends on its signal alone and the data stand apart, so that the browser moves the line
instead of drawing the chart anew. It is written out here, and the data are Arrow tables made from buffers, because altair
and pandas (which `pyarrow.array` imports) would add 80 MB to the console.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dashboards.console.words import scaled, unit_shown
from recwatch.client import Bands
from recwatch.core.events import Anomaly, Mark

VALUE, BAND, OBJECTIVE, ALARM, MARK = "#3d8bfd", "#6c8cb5", "#e09526", "#e5534b", "#b06ee0"
BAND_REACH = 1.5
Axis = dict[str, Any]


def chart(unit: str) -> dict[str, Any]:
    """The specification for a signal of this unit; it needs the data of `tables`."""
    return {
        "height": 140,
        "padding": {"left": 0, "right": 4, "top": 6, "bottom": 0},
        "layer": [
            _layer("window", {"type": "rule", "opacity": 0}, {}),
            _layer("anomalies", {"type": "rect", "color": ALARM, "opacity": 0.18}, {"x2": {"field": "end"}}),
            _layer(
                "points", {"type": "area", "color": BAND, "opacity": 0.4}, {"y": _y("lower", unit), "y2": {"field": "upper"}}
            ),
            _layer("points", _line(BAND, 1, dash=[4, 3]), {"y": _y("expected", unit)}),
            _layer("objective", _line(OBJECTIVE, 1.5, dash=[7, 4]), {"y": _y("bound", unit)}),
            _layer("points", _line(VALUE, 1.8), {"y": _y("value", unit)}),
            _layer("marks", {"type": "rule", "color": MARK, "strokeWidth": 2}, {"tooltip": _tooltip("time", "what", "by")}),
        ],
        "config": {"view": {"stroke": None}, "axis": {"gridColor": "#8893a033", "domain": False, "ticks": False}},
    }


def tables(
    bands: Bands,
    unit: str,
    window: tuple[int, int],
    happened: Sequence[Anomaly | Mark] = (),
    objective: float | None = None,
) -> dict[str, pa.Table]:
    """The data of one chart: everything between the two ends of `window` (unix ms), in the unit that is shown."""
    start, end = window
    inside = [a for a in happened if isinstance(a, Anomaly) and a.start_ms < end and (a.end_ms or end) > start]
    near = [m for m in happened if isinstance(m, Mark) and start <= m.time_ms <= end]
    bottom, top = _range(bands, objective)
    sides = ("expected", "lower", "upper")
    band = {side: _shown(_clipped(getattr(bands, side), bottom, top), unit) for side in sides}
    return {
        "window": _table(time=_times([start, end])),
        "anomalies": _table(
            time=_times([max(a.start_ms, start) for a in inside]),
            end=_times([min(a.end_ms or end, end) for a in inside]),
        ),
        "points": _table(time=_times(bands.time_ms), value=_shown(bands.value, unit), **band),
        "objective": _table(time=_times([start, end]), bound=_shown([objective] * 2, unit)),
        "marks": _table(
            time=_times([m.time_ms for m in near]),
            what=_texts([f"{m.kind.replace('_', ' ')}: {m.text}" for m in near]),
            by=_texts([m.by for m in near]),
        ),
    }


def _range(bands: Bands, objective: float | None) -> tuple[float, float]:
    """How far a band may reach, so that a wide one leaves the measured line its height."""
    known = [*bands.value, *([objective] if objective is not None else [])]
    peak = max(known, default=0.0)
    return min([0.0, *known]), BAND_REACH * peak if peak > 0 else math.inf


def _clipped(values: Sequence[float | None], bottom: float, top: float) -> list[float | None]:
    return [v if v is None else min(max(v, bottom), top) for v in values]


def _layer(data: str, mark: Axis, encoding: Axis) -> dict[str, Any]:
    time = {
        "field": "time",
        "type": "temporal",
        "axis": {"title": None, "format": "%H:%M:%S", "tickCount": 4, "grid": False},
    }
    return {"data": {"name": data}, "mark": mark, "encoding": {"x": time, **encoding}}


def _line(colour: str, width: float, dash: Sequence[int] = ()) -> Axis:
    return {"type": "line", "color": colour, "strokeWidth": width, "strokeDash": list(dash), "clip": True}


def _y(field: str, unit: str) -> Axis:
    axis = {"title": unit_shown(unit), "tickCount": 4, "titleFontWeight": "normal"}
    return {"field": field, "type": "quantitative", "axis": axis, "scale": {"zero": True}}


def _tooltip(time: str, *names: str) -> list[Axis]:
    shown_time = {"field": time, "type": "temporal", "format": "%H:%M:%S", "title": "time"}
    return [shown_time, *({"field": name, "type": "nominal"} for name in names)]


def _table(**columns: pa.Array) -> pa.Table:
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _times(times: Sequence[int]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(times), [None, pa.py_buffer(np.array(times, dtype=np.int64))])


def _shown(values: Sequence[float | None], unit: str) -> pa.Array:
    """NaN where there is no value: Vega leaves a gap there."""
    floats = np.array([np.nan if v is None else scaled(v, unit) for v in values], dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(floats), [None, pa.py_buffer(floats)])


def _texts(texts: Sequence[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
