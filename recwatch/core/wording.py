"""How figures, signals, causes and times are said to people. Pure text; what comes from outside passes `clean`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from math import isnan

from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Cause

LONGEST = 240

SPOKEN: Mapping[str, str] = {
    "requests_per_second": "requests",
    "latency_mean_seconds": "mean latency",
    "latency_p50_seconds": "p50 latency",
    "latency_p95_seconds": "p95 latency",
    "latency_p99_seconds": "p99 latency",
    "latency_bucket_increments": "requests by latency",
    "first_token_mean_seconds": "mean time to first token",
    "first_token_p99_seconds": "p99 time to first token",
    "output_token_mean_seconds": "mean time between tokens",
    "output_token_p99_seconds": "p99 time between tokens",
    "stage_latency_mean_seconds": "time in a stage",
    "stage_latency_p99_seconds": "p99 time in a stage",
    "queue_depth": "queue",
    "queue_wait_mean_seconds": "wait in the queue",
    "batch_size_mean": "batch size",
    "batch_duration_mean_seconds": "model time per batch",
    "iteration_tokens_mean": "tokens per step",
    "iteration_tokens_p99": "p99 tokens per step",
    "last_prediction_seconds": "time of the latest prediction",
    "cache_hit_ratio": "cache hits",
    "prefix_cache_hit_ratio": "prefix cache hits",
    "gpu_energy_watts": "GPU power by its energy counter",
    "gpu_xid_code": "GPU error (XID)",
    "gpu_ecc_uncorrected_errors": "uncorrected GPU memory errors",
    "gpu_rows_remapped": "GPU memory rows replaced",
    "gpu_row_remap_failed": "GPU memory rows past replacing",
    "gpu_sm_clock_hertz": "SM clock",
    "gpu_sm_clock_max_hertz": "highest SM clock",
    "host_filesystem_available_bytes": "disk space available",
    "host_load1": "host run queue",
}
"""Names of signals that their own names do not tell; `spoken` makes the others of those."""
_UNITS_IN_NAMES = re.compile("_(per_second|ratio|bytes|hertz|watts|celsius|seconds|cores)$")
_ABBREVIATIONS = re.compile(r"\b(cpu|gpu|sm|dram|kv|tx|rx)\b")


def spoken(signal: str) -> str:
    """A canonical signal as said aloud: its words without its unit, or a plainer name. Others keep their names.

    >>> spoken("latency_p99_seconds"), spoken("gpu_dram_active_ratio"), spoken("my_ratio")
    ('p99 latency', 'GPU DRAM active', 'my_ratio')
    """
    if signal not in SIGNALS:
        return clean(signal)
    words = _UNITS_IN_NAMES.sub("", _UNITS_IN_NAMES.sub("", signal)).replace("_", " ")
    return SPOKEN.get(signal) or _ABBREVIATIONS.sub(lambda word: word[0].upper(), words).replace("pcie", "PCIe")


def subject(signal: str, labels: Mapping[str, str]) -> str:
    """What a series of a signal measures, in words, and by its labels of what.

    >>> subject("gpu_throttled_ratio", {"service": "shop", "gpu": "0"})
    'GPU throttled (gpu 0)'
    """
    of = ", ".join(f"{label} {value}" for label, value in sorted(labels.items()) if label != "service")
    return f"{spoken(signal)} ({of})" if of else spoken(signal)


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


def least(said: str, open_ended: bool) -> str:
    """A figure, and whether it is but a lower limit.

    >>> least("10 s", True)
    'at least 10 s'
    """
    return f"at least {said}" if open_ended else said


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


def time_left(left_s: float, soonest_s: float, latest_s: float) -> str:
    """A time with its interval; a `latest_s` that is NaN has no end.

    >>> from math import nan
    >>> time_left(7200.0, 6600.0, 7500.0), time_left(7200.0, 6600.0, nan)
    ('2 h (1 h 50 min to 2 h 5 min)', '2 h (1 h 50 min or longer)')
    """
    left, soonest = (duration(round(1000.0 * seconds)) for seconds in (left_s, soonest_s))
    latest = "or longer" if isnan(latest_s) else f"to {duration(round(1000.0 * latest_s))}"
    return f"{left} ({soonest} {latest})"


def utc(time_ms: int, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """A time in UTC.

    >>> utc(1_700_000_000_000)
    '2023-11-14 22:13:20 UTC'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(form)


def rfc3339(time_ms: int) -> str:
    """A time in UTC as machines read it, to the millisecond.

    >>> rfc3339(500)
    '1970-01-01T00:00:00.500Z'
    """
    return f"{utc(time_ms, '%Y-%m-%dT%H:%M:%S')}.{time_ms % 1000:03d}Z"


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
