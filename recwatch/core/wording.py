"""How figures, signals, causes and times are said to people. Pure text; what comes from outside passes `clean`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime

from recwatch.core.events import Cause

LONGEST = 240

SPOKEN: Mapping[str, str] = {
    "requests_per_second": "requests",
    "errors_ratio": "errors",
    "latency_mean_seconds": "mean latency",
    "latency_p50_seconds": "p50 latency",
    "latency_p95_seconds": "p95 latency",
    "latency_p99_seconds": "p99 latency",
    "stage_latency_mean_seconds": "time in a stage",
    "queue_depth": "queue",
    "queue_wait_mean_seconds": "wait in the queue",
    "batch_size_mean": "batch size",
    "batch_duration_mean_seconds": "model time per batch",
    "replicas_busy_ratio": "replicas busy",
    "cache_hit_ratio": "cache hits",
    "answer_quality_ratio": "answer quality",
    "gpu_busy_ratio": "GPU busy",
    "gpu_memory_used_bytes": "GPU memory used",
    "gpu_sm_clock_hertz": "SM clock",
    "gpu_throttled_ratio": "GPU throttled",
    "gpu_power_watts": "GPU power",
    "gpu_temperature_celsius": "GPU temperature",
    "gpu_xid_code": "GPU error (XID)",
    "gpu_ecc_uncorrected_errors": "uncorrected GPU memory errors",
    "gpu_rows_remapped": "GPU memory rows replaced",
    "gpu_row_remap_failed": "GPU memory rows past replacing",
    "host_cpu_busy_ratio": "host CPU busy",
    "host_memory_available_bytes": "host memory available",
    "targets_up_ratio": "targets up",
}


def spoken(signal: str) -> str:
    """The name of a signal as said aloud; its own name if it is not a canonical one.

    >>> spoken("latency_p99_seconds"), spoken("my_total")
    ('p99 latency', 'my_total')
    """
    return SPOKEN.get(signal) or clean(signal)


def spoken_cause(cause: Cause) -> str:
    """A cause as said aloud.

    >>> spoken_cause(Cause.GPU_THROTTLING)
    'GPU throttling'
    """
    return cause.value.replace("_", " ").replace("gpu", "GPU")


def figure(value: float, unit: str) -> str:
    """A value with its unit, to about three digits.

    >>> figure(0.812, "seconds"), figure(1.41e9, "hertz"), figure(297.4, "requests/s"), figure(0.034, "ratio")
    ('812 ms', '1410 MHz', '297/s', '3.4 %')
    >>> figure(1, "requests"), figure(84, "requests"), figure(1, "seconds"), figure(148.2, "ms")
    ('1 request', '84 requests', '1 s', '148 ms')
    """
    if unit == "seconds" and abs(value) < 1:
        return f"{_digits(value * 1e3)} ms"
    if unit == "bytes" and abs(value) < 2**30:
        return f"{_digits(value / 2**20)} MiB"
    scale, shown = _UNITS.get(unit, (1.0, f" {unit}"))
    digits = _digits(value * scale)
    return f"{digits}{' request' if shown == ' requests' and digits == '1' else shown}".strip()


_UNITS: Mapping[str, tuple[float, str]] = {
    "seconds": (1.0, " s"),
    "hertz": (1e-6, " MHz"),
    "ratio": (100.0, " %"),
    "bytes": (2**-30, " GiB"),
    "celsius": (1.0, " °C"),
    "watts": (1.0, " W"),
    "joules": (1.0, " J"),
    "requests/s": (1.0, "/s"),
}


def _digits(value: float) -> str:
    if abs(value) < 5e-4:
        return "0"
    return f"{value:.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def duration(milliseconds: int) -> str:
    """A span of time.

    >>> duration(42_000), duration(120_000), duration(100_000), duration(7_320_000)
    ('42 s', '2 min', '1 min 40 s', '2 h 2 min')
    """
    minutes, seconds = divmod(max(0, round(milliseconds / 1000)), 60)
    if not minutes:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else seconds, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def utc(time_ms: int, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """A time in UTC.

    >>> utc(1_700_000_000_000)
    '2023-11-14 22:13:20 UTC'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(form)


def local(time_ms: int, today: date) -> str:
    """A time of day where the reader is; with its date when that is not `today`."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M:%S}"


def counted(number: int, what: str) -> str:
    """The number of things.

    >>> counted(1, "target"), counted(2, "target")
    ('1 target', '2 targets')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def clean(text: str) -> str:
    r"""Text from outside, safe to print on one line: control and direction-changing characters become '·', long text is cut.

    >>> clean("ranker\x1b[31m\nv2\u202e")
    'ranker·[31m·v2·'
    """
    shown = "".join("·" if unicodedata.category(c) in _UNSEEN else c for c in text[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
