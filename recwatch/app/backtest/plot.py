"""Plots of series with their bands, alarms and marks, as PNG or SVG: the edge to matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Int64

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (".png", ".svg")
VALUE, BAND, MARKED, EVENT = "#1f5f99", "#9db8d3", "#e8b84a", "#7a4fa3"
ALARMS = ("#c8322b", "#2b8a5a", "#8a5a2b", "#444444")
WIDTH_INCHES, PANEL_INCHES, HEAD_INCHES = 12.0, 2.0, 0.7

Stretches = Sequence[tuple[int, int]]
"""From when to when, in unix milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One series over a span. Arrays are float64[n], aligned to `time_ms`: least and greatest reading, edges of the band.

    `alarms` are by configuration; `marked` is where something was the matter; `events` are times of what was done.
    """

    title: str
    span_ms: tuple[int, int]
    time_ms: Int64
    low: Float64
    high: Float64
    lower: Float64
    upper: Float64
    alarms: Mapping[str, Stretches]
    marked: Stretches = ()
    events: Sequence[int] = ()


def draw(panels: Sequence[Panel], path: Path, title: str) -> None:
    """Write the panels, one below the other, to a file; equal panels give an equal file.

    Raises BadInput for a kind of file that is none of `KINDS`, where matplotlib is not installed, and where the file cannot
    be written.
    """
    require_drawable(path)
    import matplotlib as mpl  # noqa: PLC0415 - heavy, and not always there
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    height = PANEL_INCHES * len(panels) + HEAD_INCHES
    with mpl.rc_context({"svg.hashsalt": "recwatch", "font.size": 8, "date.converter": "concise"}):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        figure.suptitle(title)
        for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            _draw(axes, panel)
        legends = (axes.get_legend_handles_labels() for axes in figure.axes)
        named = {name: handle for handles, names in legends for handle, name in zip(handles, names, strict=True)}
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=len(named), frameon=False)
        try:
            figure.savefig(path, dpi=100, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
        except OSError as error:
            raise BadInput(f"{path} cannot be written ({error.strerror}); name another file") from error


def require_drawable(path: Path) -> None:
    """Raise BadInput where a plot cannot be written to this path, so that nobody computes for an hour to learn it."""
    if path.suffix not in KINDS:
        raise BadInput(f"{path} is no kind of plot; name a file that ends in {' or '.join(KINDS)}")
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - heavy, and not always there
    except ImportError as error:
        raise BadInput("plots need matplotlib; install recwatch[plot], or leave the plot out") from error


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left", fontsize=8)
    band = np.isfinite(panel.lower) & np.isfinite(panel.upper)
    times = _dates(panel.time_ms)
    axes.fill_between(times, panel.lower, panel.upper, where=band.tolist(), color=BAND, alpha=0.6, lw=0, label="band")
    both = np.stack((panel.low, panel.high), axis=1).ravel()
    axes.plot(np.repeat(times, 2), both, color=VALUE, lw=0.8, label="reading")
    for number, (start, end) in enumerate(panel.marked):
        axes.axvspan(*_dates([start, end]), color=MARKED, alpha=0.35, lw=1, label="" if number else "marked")
    for number, time_ms in enumerate(panel.events):
        axes.axvline(_dates([time_ms])[0], color=EVENT, lw=1, ls="--", label="" if number else "deploy, change, note")
    _draw_alarms(axes, panel.alarms)
    axes.set_ylim(*_limits(panel))
    axes.set_xlim(*_dates([panel.span_ms[0], max(panel.span_ms[1], panel.span_ms[0] + 1)]))
    axes.grid(alpha=0.25)


def _draw_alarms(axes: Axes, alarms: Mapping[str, Stretches]) -> None:
    """A lane for each configuration at the top, with a bar for each anomaly and a head where it starts."""
    for lane, (name, stretches) in enumerate(alarms.items()):
        colour, height = ALARMS[lane % len(ALARMS)], 0.97 - 0.06 * lane
        across = axes.get_xaxis_transform()
        starts = _dates([start for start, _ in stretches])
        axes.plot(starts, np.full(len(starts), height), "v", ms=5, color=colour, transform=across, label=f"told: {name}")
        for start, end in stretches:
            axes.plot(_dates([start, end]), [height, height], color=colour, lw=3, transform=across, alpha=0.7)


def _limits(panel: Panel) -> tuple[float, float]:
    """The readings and some room; a band that is far wider is cut off, so that the line keeps its height."""
    low, high = float(np.nanmin(panel.low)), float(np.nanmax(panel.high))
    room = (high - low) or abs(high) or 1.0
    return low - 0.1 * room, high + 0.25 * room


def _dates(times_ms: Sequence[int] | Int64) -> Any:
    return np.array(times_ms, dtype="datetime64[ms]")
