"""When a collector scraped a service, and what another collector tells of the same service."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from recwatch.app.standing import TOLD_EVERY_MS
from recwatch.core.bus.spool.measured import Measured
from recwatch.core.targets import TargetSet


@dataclass(frozen=True, slots=True)
class Tenure:
    """From when to when this collector scraped a service the last time, in unix milliseconds; endless while it does."""

    began_ms: int
    ended_ms: int | None = None


def by_another(told: TargetSet | None, me: str, mine: Tenure | None, now_ms: int) -> Measured | None:
    """What another than `me` measures of a service, by the last that was `told` of it; None where nobody does.

    Who scraped it before this collector began did so until then at the longest; who began later took it over. What this
    collector gave up is another's from then on, also if that one did not tell yet.

    >>> told = TargetSet("shop", (), time_ms=90_000, by="b", since_ms=50_000)
    >>> by_another(told, "a", None, 91_000), by_another(told, "a", None, 150_000), by_another(told, "b", None, 91_000)
    (Measured(since_ms=50000, until_ms=inf), Measured(since_ms=50000, until_ms=90000), None)
    >>> by_another(told, "a", Tenure(10_000), 91_000), by_another(told, "a", Tenure(60_000), 91_000)
    (Measured(since_ms=50000, until_ms=inf), Measured(since_ms=50000, until_ms=60000))
    >>> by_another(told, "a", Tenure(10_000, 70_000), 91_000), by_another(told, "a", Tenure(60_000, 70_000), 91_000)
    (Measured(since_ms=50000, until_ms=inf), Measured(since_ms=70000, until_ms=inf))
    """
    other = _claim(told, me, now_ms)
    if mine is None:
        return other
    later = other if other is not None and other.since_ms >= mine.began_ms else None
    if mine.ended_ms is not None:
        return Measured(min(mine.ended_ms, later.since_ms) if later else mine.ended_ms)
    if later is not None or other is None:
        return later
    return Measured(other.since_ms, min(other.until_ms, mine.began_ms))


def _claim(told: TargetSet | None, me: str, now_ms: int) -> Measured | None:
    if told is None or told.by in {"", me}:
        return None
    goes_on = now_ms - told.time_ms < 2 * TOLD_EVERY_MS
    return Measured(told.since_ms, inf if goes_on else told.time_ms)
