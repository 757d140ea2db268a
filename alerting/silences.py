"""Which incidents are not to be sent."""

from __future__ import annotations

from collections.abc import Iterable

from recwatch.core.events import Incident, Silence
from recwatch.core.wording import clean, utc


def silence_of(incident: Incident, silences: Iterable[Silence], now_ms: int) -> Silence | None:
    """The silence that covers this incident at `now_ms` (wall clock), the one ending last; None if it may be sent.

    A silence without a cause covers every incident of its service; one with a cause, those whose top cause it is. Start
    is included, end is not. A silence is lifted by publishing it again, same id, with an earlier end.
    """
    covering = (
        s
        for s in silences
        if s.service == incident.service and s.cause in (None, incident.cause) and s.start_ms <= now_ms < s.end_ms
    )
    return max(covering, key=lambda s: (s.end_ms, s.id), default=None)


def covered_until(silence: Silence) -> str:
    """Until when a silence holds, and why if that was said."""
    until = f"until {utc(silence.end_ms)}"
    return f"{until}: {clean(silence.why)}" if silence.why else until
