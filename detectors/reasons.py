"""Why something is an anomaly, in words and figures that a person reads at night."""

from __future__ import annotations

from recwatch.core.signals import Series

_SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "seconds": ((1.0, "s"), (1e-3, "ms")),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB")),
    "hertz": ((1e6, "MHz"),),
    "ratio": ((0.01, "%"),),
    "celsius": ((1.0, "°C"),),
    "watts": ((1.0, "W"),),
}
_SPOKEN = {
    "requests_per_second": "traffic",
    "latency_mean_seconds": "mean latency",
    "latency_p50_seconds": "median latency",
    "latency_p95_seconds": "p95 latency",
    "latency_p99_seconds": "p99 latency",
    "stage_latency_mean_seconds": "mean latency",
    "gpu_sm_clock_hertz": "GPU clock",
}


def figure(value: float, unit: str) -> str:
    """A value with its unit, scaled to be read.

    >>> figure(0.812, "seconds"), figure(1.41e9, "hertz"), figure(0.034, "ratio"), figure(297.0, "requests/s")
    ('812 ms', '1410 MHz', '3.4 %', '297 requests/s')
    """
    size, spoken = _scale(value, unit)
    return f"{_digits(value / size)} {spoken}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    scales = _SCALES.get(unit, ((1.0, unit),))
    return next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])


def _digits(value: float) -> str:
    """Three digits that matter, without an exponent up to a million."""
    if abs(value) < 5e-4:
        return "0"
    return f"{value:.0f}" if 100.0 <= abs(value) < 1e6 else f"{value:.3g}"


def subject(series: Series) -> str:
    """What the series measures, in words.

    >>> from recwatch.core.canonical import canonical_series
    >>> subject(canonical_series("shop", "gpu_throttled_ratio", {"gpu": "0"}))
    'gpu throttled (gpu 0)'
    """
    name = _SPOKEN.get(series.name, series.name.removesuffix(f"_{series.unit}").replace("_", " "))
    labels = ", ".join(f"{label} {value}" for label, value in sorted(series.labels.items()) if label != "service")
    return f"{name} ({labels})" if labels else name


def outside_band(series: Series, value: float, band: tuple[float, float, float], load: float | None = None) -> str:
    """Why a reading outside its band (expected, lower, upper) is one; `load` in requests/s, if it was taken into account.

    >>> from recwatch.core.canonical import canonical_series
    >>> outside_band(canonical_series("shop", "latency_p99_seconds"), 0.812, (0.024, 0.018, 0.040), load=300.0)
    'p99 latency 812 ms, expected 24 ms at 300 requests/s (band 18 to 40 ms)'
    """
    at = "" if load is None else f" at {figure(load, 'requests/s')}"
    expected, lower, upper = band
    size, _ = _scale(upper, series.unit)
    limits = f"band {_digits(lower / size)} to {figure(upper, series.unit)}"
    return f"{subject(series)} {figure(value, series.unit)}, expected {figure(expected, series.unit)}{at} ({limits})"


def level_moved(series: Series, value: float, expected: float) -> str:
    """Why a shift of the level is an anomaly."""
    return (
        f"{subject(series)} has moved away from {figure(expected, series.unit)} and stays, now {figure(value, series.unit)}"
    )


def over_objective(series: Series, value: float, bound: float) -> str:
    """Why a reading over the objective is an anomaly."""
    return f"{subject(series)} {figure(value, series.unit)}, over the objective of {figure(bound, series.unit)}"
