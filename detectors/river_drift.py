"""River's tests of drift, each a method under its own name. River is imported where a model begins."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from detectors.one_by_one import Model, OneByOne, Outlook
from detectors.robust_band import FALSE_ALARMS_A_DAY

RECENT_ROWS = 10
TOGETHER: float = RECENT_ROWS**0.5
"""The mean of so many independent readings scatters by so much less than one."""
SHORT_OF = 0.99
"""What no test calls a drift is no nearer to the edge than this."""
JUMP = 10.0
"""Readings given to a test are held within so many deviations: one spike is no drift."""
CLIP = 4.0
"""A reading teaches the mean at most so many deviations: a spike that the test passes over is no new level."""
LEAST_DEVIATION = 0.05
SEED = 1
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class _Drift:
    """A test of drift on the distance from the mean so far, in deviations: yes or no.

    A reading is as surprising as the last `RECENT_ROWS` are far from that mean together, but alarms only after a yes, until
    they are back within one deviation of it, and the test begins anew. The tests suppose readings that are independent of
    each other; where noise comes in runs they say yes again and again, and the band says how often that may alarm.
    """

    def __init__(self, test: Any) -> None:
        from river import stats  # noqa: PLC0415

        self._fresh, self._test = test, test.clone()
        self._mean, self._variance, self._recent = stats.Mean(), stats.Var(), [0.0] * RECENT_ROWS
        self._drifted, self._alarms = False, False

    def outlook(self, edge: float) -> Outlook:
        return Outlook(float(self._mean.get()), edge * self._deviation() / TOGETHER)

    def surprise(self, reading: float, edge: float) -> float:
        deviations = (reading - self._mean.get()) / self._deviation()
        self._recent = [*self._recent[1:], deviations]
        away = float(abs(np.mean(self._recent)))
        if self._drifted:
            self._drifted = away >= 1.0
        else:
            self._test.update(min(max(deviations, -JUMP), JUMP))
            self._drifted = self._test.drift_detected
            self._test = self._fresh.clone() if self._drifted else self._test
        surprise = float(TOGETHER * away)
        self._alarms = self._drifted and surprise >= edge
        return surprise if self._drifted else min(surprise, SHORT_OF * edge)

    def learn(self, reading: float) -> None:
        if self._alarms:
            return
        expected, most = self._mean.get(), CLIP * self._deviation()
        held = min(max(reading, expected - most), expected + most) if self._mean.n > RECENT_ROWS else reading
        self._mean.update(held)
        self._variance.update(held)

    def _deviation(self) -> float:
        return float(max(self._variance.get() ** 0.5, LEAST_DEVIATION))


class RiverAdwin(OneByOne):
    """River's ADWIN: whether the mean of a window that grows by itself has changed, at significance `delta`."""

    name = "river_adwin"

    def __init__(self, delta: Share = 0.002, *, max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY) -> None:
        super().__init__(max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        self._delta = delta

    def _new(self) -> Model:
        from river import drift  # noqa: PLC0415

        return _Drift(drift.ADWIN(delta=self._delta, clock=1))  # type: ignore[no-untyped-call]


class RiverPageHinkley(OneByOne):
    """River's Page-Hinkley test: a cumulative sum of deviations beyond `delta` reaches `threshold`."""

    name = "river_page_hinkley"

    def __init__(
        self,
        delta: Positive = 0.5,
        threshold: Positive = 20.0,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        super().__init__(max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        self._delta, self._threshold = delta, threshold

    def _new(self) -> Model:
        from river import drift  # noqa: PLC0415

        return _Drift(drift.PageHinkley(delta=self._delta, threshold=self._threshold))


class RiverKswin(OneByOne):
    """River's KSWIN: whether the last `recent_rows` of `window_rows` readings are distributed as those before them."""

    name = "river_kswin"

    def __init__(
        self,
        alpha: Share = 1e-4,
        window_rows: Annotated[int, Field(ge=30, le=2_000)] = 60,
        recent_rows: Annotated[int, Field(ge=5, le=500)] = 15,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        super().__init__(max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        self._settings: dict[str, Any] = {"alpha": alpha, "window_size": window_rows, "stat_size": recent_rows, "seed": SEED}

    def _new(self) -> Model:
        from river import drift  # noqa: PLC0415

        return _Drift(drift.KSWIN(**self._settings))
