"""The knobs of one service, within the configured bounds, with the memory of how they stood."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from recwatch.core.proposals import Action, KnobValue
from tuning.actuators import Actuator, Knob
from tuning.config import Bounds
from tuning.policies import Reading

READINGS_KEPT = 200


class Panel:
    """Reads knobs and sets them; never sets what stands already, so that setting again after a failure is harmless."""

    def __init__(self, actuator: Actuator, bounds: Mapping[str, Bounds]) -> None:
        self._actuator = actuator
        self._bounds = bounds
        self._readings: deque[Reading] = deque(maxlen=READINGS_KEPT)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Earlier readings, oldest first."""
        return tuple(self._readings)

    def age_ms(self, now_ms: int) -> float:
        """How long ago the knobs were read; infinite if never."""
        return now_ms - self._readings[-1].time_ms if self._readings else float("inf")

    def read(self, now_ms: int) -> Mapping[str, Knob]:
        """Every knob now, its range narrowed to the bounds. Raises Unavailable or BadInput as the actuator does."""
        free = Bounds()
        knobs = {
            name: knob.within((bounds := self._bounds.get(name, free)).low, bounds.high)
            for name, knob in self._actuator.read().items()
        }
        self._readings.append(Reading(now_ms, knobs))
        return knobs

    def set(self, name: str, standing: KnobValue, value: KnobValue, now_ms: int, by: str) -> Action:
        """Bring one knob to `value` from `standing`, where it was just read to be."""
        read_back = standing if standing == value else self._actuator.apply(name, value)
        return Action(now_ms, name, value, read_back, by)
