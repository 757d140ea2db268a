"""How figures, times and other people's text are shown."""

from __future__ import annotations

import re
import string
from datetime import datetime

from recwatch.core.events import Cause, Interval, KnobValue

_SHOWN_AS = {
    "seconds": (1000.0, "ms"),
    "ratio": (100.0, "%"),
    "hertz": (1e-6, "MHz"),
    "bytes": (2.0**-20, "MiB"),
    "watts": (1.0, "W"),
    "celsius": (1.0, "°C"),
    "requests/s": (1.0, "req/s"),
}
_PUNCTUATION = re.compile(rf"([{re.escape(string.punctuation)}])")
_DASH = "–"


def plain(text: str) -> str:
    r"""Text of others, made safe for Markdown: every mark of punctuation stands for itself, and line ends are spaces.

    >>> plain("![x](http://h/x.png)")
    '\\!\\[x\\]\\(http\\:\\/\\/h\\/x\\.png\\)'
    """
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def scaled(value: float, unit: str) -> float:
    """A value in the unit in which it is shown."""
    return value * _SHOWN_AS.get(unit, (1.0, unit))[0]


def unit_shown(unit: str) -> str:
    """The unit in which values of `unit` are shown."""
    return _SHOWN_AS.get(unit, (1.0, unit))[1]


def figure(value: float | None, unit: str = "") -> str:
    """A value with its unit, to three significant digits.

    >>> figure(0.03124, "seconds"), figure(0.5, "ratio"), figure(1.41e9, "hertz"), figure(3.1e9, "bytes"), figure(None)
    ('31.2 ms', '50 %', '1,410 MHz', '2,956 MiB', '–')
    """
    if value is None:
        return _DASH
    shown, suffix = scaled(value, unit), unit_shown(unit)
    digits = 0 if abs(shown) >= 100 else 1 if abs(shown) >= 10 else 2
    text = f"{shown:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {suffix}".rstrip()


def span(interval: Interval, unit: str = "") -> str:
    """An estimate with its 90 % interval.

    >>> span(Interval(36.0, 42.0, 55.0), "ms")
    '42 ms (36 – 55)'
    """
    return f"{figure(interval.mid, unit)} ({figure(interval.low)} – {figure(interval.high)})"


def change(from_value: KnobValue, to_value: KnobValue) -> str:
    """A knob's change.

    >>> change(1, 2)
    '1 → 2'
    """
    return f"{from_value} → {to_value}"


def cause_name(cause: Cause) -> str:
    """A cause as people say it.

    >>> cause_name(Cause.GPU_THROTTLING), cause_name(Cause.LOAD_SURGE)
    ('GPU throttling', 'Load surge')
    """
    words = cause.value.replace("_", " ")
    return words.replace("gpu", "GPU") if words.startswith("gpu") else words.capitalize()


def clock_time(time_ms: int | None) -> str:
    """Local time of day; with the date when it is not today."""
    if time_ms is None:
        return _DASH
    moment = datetime.fromtimestamp(time_ms / 1000).astimezone()
    today = datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M:%S}"


def lasted(milliseconds: int) -> str:
    """A duration in its two largest units.

    >>> lasted(42_400), lasted(150_000), lasted(7_260_000), lasted(180_000_000)
    ('42 s', '2 min 30 s', '2 h 1 min', '2 d 2 h')
    """
    seconds = max(0, milliseconds // 1000)
    for size, name, next_size, next_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {name} {seconds % size // next_size} {next_name}"
    return f"{seconds} s"
