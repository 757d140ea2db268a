"""Back to the version that ran before a deploy made the service slow."""

from __future__ import annotations

import math
import re
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from recwatch.core.events import Cause, Evidence, Mark
from recwatch.core.proposals import Interval, KnobValue, Prediction
from tuning.actuators import Knob
from tuning.intervals import Intervals, spread
from tuning.model import Z90
from tuning.policies.policy import Candidate, NoChange, View

KNOB = "model_version"
ONSET_MS = 5_000


class Rollback(BaseModel):
    """Sets `model_version` back to what it was before the last deploy, and promises what was measured then.

    The baseline is the last `baseline_s` seconds before the deploy, in runs of at least `requests` requests; `intervals` of
    the incident must have been seen. Which version ran before is taken from what was read of the knob, else from the mark.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    causes: ClassVar[frozenset[Cause]] = frozenset({Cause.SLOW_VERSION})

    baseline_s: float = Field(default=60.0, gt=0.0)
    requests: int = Field(default=500, ge=100)
    intervals: int = Field(default=3, ge=2)

    def propose(self, view: View) -> Candidate | NoChange:
        knob = view.knobs.get(KNOB)
        if knob is None:
            return NoChange(f"the service has no knob {KNOB}, only {sorted(view.knobs)}")
        seen = len(view.intervals.since(view.incident.start_ms))
        if seen < self.intervals:
            return NoChange(f"waiting for data: {seen} of {self.intervals} intervals since the incident started")
        latest_ms = view.incident.start_ms + ONSET_MS
        deploys = [mark for mark in view.marks if mark.kind == "deploy" and mark.time_ms <= latest_ms]
        if not deploys:
            return NoChange("no deploy before the incident is on record, so there is nothing to go back to")
        deploy = max(deploys, key=lambda mark: mark.time_ms)
        brought = versions_named(deploy, knob)[-1:]
        if brought and brought != [knob.value]:
            return NoChange(f"{knob.value} runs, no longer what '{deploy.text}' brought")
        before = version_before(deploy, knob, view)
        if before is None:
            return NoChange(f"cannot tell which {KNOB} ran before '{deploy.text}'")
        return self._back(view, deploy, knob, before)

    def _back(self, view: View, deploy: Mark, knob: Knob, before: KnobValue) -> Candidate | NoChange:
        baseline = view.intervals.between(deploy.time_ms - 1000.0 * self.baseline_s, deploy.time_ms)
        predicted = promise(baseline, self.requests)
        if predicted is None:
            return NoChange(f"no baseline: fewer than {self.requests} requests were measured before '{deploy.text}'")
        objective_ms = 1000.0 * view.objective.latency_p99_seconds
        if predicted.p99_ms.mid > objective_ms:
            return NoChange(
                f"{before} did not meet the objective either: p99 {predicted.p99_ms.mid:.0f} ms of {objective_ms:.0f} ms"
            )
        since = view.intervals.since(deploy.time_ms).latency_s(0.99)
        evidence = Evidence(
            f"p99 before '{deploy.text}' was {predicted.p99_ms.mid:.0f} ms",
            "latency_p99_seconds",
            since,
            predicted.p99_ms.mid / 1000.0,
        )
        reason = f"{KNOB} {knob.value} → {before}: slow since the deploy '{deploy.text}'"
        return Candidate(KNOB, knob.value, before, predicted, reason, (evidence,))


def version_before(deploy: Mark, knob: Knob, view: View) -> KnobValue | None:
    """The version that ran before the deploy: as last read before it, or else as its mark says, or else the only other."""
    read: list[KnobValue] = [r.knobs[KNOB].value for r in view.readings if r.time_ms <= deploy.time_ms and KNOB in r.knobs]
    told = versions_named(deploy, knob)
    others = [choice for choice in knob.choices if choice != knob.value]
    likeliest = (*read[-1:], *told[:1], *(others if len(others) == 1 else ()))
    return next((value for value in likeliest if value != knob.value and knob.allows(value)), None)


def versions_named(deploy: Mark, knob: Knob) -> list[KnobValue]:
    """The choices of the knob that the deploy's text names, in its order: what it brought comes last."""
    words = re.split(r"[^\w.\-]+", deploy.text)
    return [choice for word in words for choice in knob.choices if word == str(choice)]


def promise(baseline: Intervals, requests: int) -> Prediction | None:
    """What was measured in `baseline`, as a prediction; None from fewer than `requests` requests.

    The p99 of n requests is an order statistic whose rank has the standard error sqrt(0.99 * 0.01 / n); the interval holds
    that error and how much the p99 of the runs differed.
    """
    p99s, answered = baseline.p99s(requests), baseline.values("requests_per_second")
    error = Z90 * math.sqrt(0.99 * 0.01 / requests)
    luckiest, unluckiest = baseline.latency_s(0.99 - error), baseline.latency_s(min(1.0, 0.99 + error))
    if not p99s or not len(answered) or luckiest is None or unluckiest is None:
        return None
    low, mid, high = spread(p99s)
    quality = baseline.values("answer_quality_ratio")
    return Prediction(
        Interval(1000.0 * min(low, luckiest), 1000.0 * mid, 1000.0 * max(high, unluckiest)),
        Interval(*spread(answered.tolist())),
        Interval(1.0, 1.0, 1.0),
        Interval(*spread(quality.tolist())) if len(quality) else None,
    )
