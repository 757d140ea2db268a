"""Why something is an anomaly, in words and figures that a person reads at night. `shown` is the reading as it is said."""

from __future__ import annotations

from recwatch.core.signals import Series
from recwatch.core.wording import figure, subject, time_left

HOUR_S = 3600.0


def outside_band(series: Series, shown: str, band: tuple[float, float, float], load: float | None = None) -> str:
    """Why a reading outside its band (expected, lower, upper) is one; `load` in requests/s, if it was taken into account.

    >>> from recwatch.core.canonical import canonical_series
    >>> outside_band(canonical_series("shop", "latency_p99_seconds"), "812 ms", (0.024, 0.018, 0.040), load=300.0)
    'p99 latency 812 ms, expected 24 ms at 300 requests/s (band 18 ms to 40 ms)'
    """
    at = "" if load is None else f" at {load:.0f} requests/s"
    expected, lower, upper = band
    limits = f"band {figure(lower, series.unit)} to {figure(upper, series.unit)}"
    return f"{subject(series.name, series.labels)} {shown}, expected {figure(expected, series.unit)}{at} ({limits})"


def level_moved(series: Series, shown: str, expected: float) -> str:
    """Why a shift of the level is an anomaly."""
    what = subject(series.name, series.labels)
    return f"{what} has moved away from {figure(expected, series.unit)} and stays, now {shown}"


def over_objective(series: Series, shown: str, bound: float) -> str:
    """Why a reading over the objective is an anomaly."""
    return f"{subject(series.name, series.labels)} {shown}, over the objective of {figure(bound, series.unit)}"


def runs_out(series: Series, value: float, limit: float, left_s: tuple[float, float, float]) -> str:
    r"""Why a trend is an anomaly; `left_s` are the seconds left, their least and their most, NaN where that has no end.

    >>> from recwatch.core.canonical import canonical_series
    >>> disk = canonical_series("shop", "host_filesystem_available_bytes", {"mountpoint": "/data"})
    >>> print(*runs_out(disk, 8.0 * 2**30, 0.0, (7200.0, 6600.0, 7500.0)).split(": "), sep=":\n")
    disk space available (mountpoint /data) 8 GiB, falling by 4 GiB an hour:
    at 0 MiB in 2 h (1 h 50 min to 2 h 5 min) if its trend goes on
    """
    way = "rising" if limit > value else "falling"
    by = figure(HOUR_S * abs(limit - value) / max(left_s[0], 1.0), series.unit)
    moves = f"{subject(series.name, series.labels)} {figure(value, series.unit)}, {way} by {by} an hour"
    return f"{moves}: at {figure(limit, series.unit)} in {time_left(*left_s)} if its trend goes on"


def stands_still(series: Series, shown: str) -> str:
    """Why a flat line is an anomaly."""
    what = subject(series.name, series.labels)
    return f"{what} has stood at exactly {shown} for longer than ever: what measures it may be stuck"
