"""View → ranked causes. Pure: the same view gives the same ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log

from alerting.rules import RULES, SYMPTOMS
from alerting.rules.finding import Finding
from alerting.rules.machine import targets_down
from alerting.view import NOW_MS, View
from recwatch.core.events import Cause, Evidence, RankedCause

LEAST = 0.05
CLEARLY = 0.1
LASTING_MS = 2 * NOW_MS


def diagnose(view: View) -> tuple[RankedCause, ...]:
    """The causes that fit, most believed first; `unknown` alone, with what moved most, when none does.

    Each rule's strength is lowered by what explains it away (a surge explains a queue), then all are scaled down to add up
    to at most 1. Never empty. Targets lost beside another cause are told with it.
    """
    found = {cause: finding for cause, rule in RULES.items() if (finding := rule(view)) is not None}
    belief = {cause: _explained(cause, found) for cause in found}
    scale = max(1.0, sum(belief.values()))
    ranked = sorted(
        (
            RankedCause(c, int(1000 * belief[c] / scale) / 1000, found[c].evidence)
            for c in found
            if belief[c] / scale >= LEAST
        ),
        key=lambda r: -r.confidence,
    )
    first, *others = ranked or [RankedCause(Cause.UNKNOWN, 1.0, _movers(view))]
    if Cause.TELEMETRY_LOSS not in found and "targets_up_ratio" in view.anomalous and (down := targets_down(view)):
        first = replace(first, evidence=tuple(e for e in first.evidence if e.series != down[0].series) + down)
    return (first, *others)


def _explained(cause: Cause, found: Mapping[Cause, Finding]) -> float:
    strength = found[cause].strength
    for other, symptoms in SYMPTOMS.items():
        if cause in symptoms and other in found:
            strength *= 1 - found[other].strength
    return strength


def _movers(view: View, most: int = 4) -> tuple[Evidence, ...]:
    moved = [r for r in view.readings.values() if r.ratio > 0 and abs(log(r.ratio)) > log(1.2)]
    return tuple(r.evidence() for r in sorted(moved, key=lambda r: -abs(log(r.ratio)))[:most])


@dataclass(frozen=True, slots=True)
class Contender:
    """A cause that is clearly surer than the one an incident has, and since when, in sample time."""

    cause: Cause
    since_ms: int


def settled(
    held: tuple[RankedCause, ...], told: tuple[RankedCause, ...], contender: Contender | None, now_ms: int
) -> tuple[tuple[RankedCause, ...], Contender | None]:
    """Which ranking an open incident keeps: another cause if clearly surer, the same one if as sure and no less plain.

    A service that drains its queue or recovers looks unlike its trouble, so the diagnosis at its plainest stands. As its
    signals recover one after another they may fit any other cause for a while: so another cause must be the surer one for
    twice as long as a diagnosis looks back, and is a contender until then.
    """
    old, new = held[0], told[0]
    if old.cause is Cause.UNKNOWN or new.cause is Cause.UNKNOWN:
        return told if old.cause is Cause.UNKNOWN else held, None
    if new.cause is old.cause:
        return told if new.confidence >= old.confidence and _plainness(new) >= _plainness(old) else held, None
    if new.confidence < old.confidence + CLEARLY:
        return held, None
    if contender is None or contender.cause is not new.cause:
        contender = Contender(new.cause, now_ms)
    return (told, None) if now_ms - contender.since_ms >= LASTING_MS else (held, contender)


def _plainness(ranked: RankedCause) -> float:
    """How far apart the figures of the evidence are from what was expected, in factors of e."""
    pairs = ((e.value or 0.0, e.expected or 0.0) for e in ranked.evidence)
    return sum(abs(log(value / expected)) for value, expected in pairs if value > 0 and expected > 0)
