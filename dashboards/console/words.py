"""How figures, times and other people's text are shown."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from recwatch.core import wording
from recwatch.core.events import Cause
from recwatch.core.proposals import Interval, KnobValue
from recwatch.core.recent import stale_after_ms, usual_interval_ms

_ON_AXES = {
    "seconds": (1000.0, "ms"),
    "ratio": (100.0, "%"),
    "hertz": (1e-6, "MHz"),
    "bytes": (2.0**-20, "MiB"),
    "watts": (1.0, "W"),
    "celsius": (1.0, "°C"),
    "requests/s": (1.0, "req/s"),
}
_PUNCTUATION = re.compile(rf"([{re.escape(string.punctuation)}])")
_LINKED = re.compile(r"([^\s`|]*(?:://|www\.|@)[^\s`|]*)", re.IGNORECASE)
"""What Markdown as GitHub writes it makes a link of, however it is escaped; without what ends code, or a cell of a table."""
_DASH = "–"


def plain(text: str) -> str:
    r"""Text of others, made safe for Markdown: every mark of punctuation stands for itself, and line ends are spaces.

    Addresses are shown as code, for in any other text they would become links to wherever others like.

    >>> plain("![x](y) | down"), plain("see http://h/x.png")
    ('\\!\\[x\\]\\(y\\) \\| down', 'see `http://h/x.png`')
    """
    parts = enumerate(_LINKED.split(" ".join(text.split())))
    return "".join(f"`{part}`" if place % 2 else _PUNCTUATION.sub(r"\\\1", part) for place, part in parts)


def scaled(value: float, unit: str) -> float:
    """A value in the unit of its axis, which is the same however large the value is."""
    return value * _ON_AXES.get(unit, (1.0, unit))[0]


def unit_shown(unit: str) -> str:
    """The unit of an axis for values of `unit`."""
    return _ON_AXES.get(unit, (1.0, unit))[1]


def figure(value: float | None, unit: str = "") -> str:
    """A value with its unit, or a dash.

    >>> figure(0.03124, "seconds"), figure(None)
    ('31.2 ms', '–')
    """
    return _DASH if value is None else wording.figure(value, unit)


def span(interval: Interval, unit: str = "") -> str:
    """An estimate with its 90 % interval, where it has any width.

    >>> span(Interval(36.0, 42.0, 55.0), "ms"), span(Interval(1.0, 1.0, 1.0))
    ('42 ms (36 – 55)', '1')
    """
    if interval.low == interval.high:
        return figure(interval.mid, unit)
    return f"{figure(interval.mid, unit)} ({figure(interval.low)} – {figure(interval.high)})"


def change(from_value: KnobValue, to_value: KnobValue) -> str:
    """A knob's change.

    >>> change(1, 2)
    '1 → 2'
    """
    return f"{from_value} → {to_value}"


def cause_name(cause: Cause) -> str:
    """A cause as a heading.

    >>> cause_name(Cause.GPU_THROTTLING), cause_name(Cause.LOAD_SURGE)
    ('GPU throttling', 'Load surge')
    """
    said = wording.spoken_cause(cause)
    return said[0].upper() + said[1:]


def which(labels: Mapping[str, str], siblings: Sequence[Mapping[str, str]]) -> str:
    """Which of several series of one signal this is: its labels that are not the same for all of them.

    >>> gpus = [{"gpu": "0", "host": "a"}, {"gpu": "1", "host": "a"}]
    >>> which(gpus[1], gpus), which(gpus[1], gpus[1:])
    ('gpu 1', '')
    """
    differing = (name for name in sorted(labels) if len({other.get(name) for other in siblings}) > 1)
    return ", ".join(f"{name} {labels[name]}" for name in differing if name != "emulated")


def measured_now(time_ms: Sequence[int], now_ms: int, service_ms: int) -> bool:
    """Whether a series that was read at these times is still measured: it is not, once three intervals passed without it.

    Not all signals come as often as those of its service that come most often, which are stale after `service_ms`.

    >>> measured_now([0, 1000, 2000], 6000, 5000), measured_now([0, 1000, 2000], 60_000, 5000), measured_now([], 0, 5000)
    (True, False, False)
    """
    if not time_ms:
        return False
    own_ms = stale_after_ms(usual_interval_ms(np.array(time_ms, dtype=np.int64)))
    return now_ms - time_ms[-1] <= max(own_ms, service_ms)


def clock_time(time_ms: int | None) -> str:
    """Local time of day; with the date when it is not today."""
    return _DASH if time_ms is None else wording.local(time_ms, datetime.now().astimezone().date())
