"""What every actuator looks like, and what it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from recwatch.core.proposals import KnobValue


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting of a service as read from it: a number from `low` to `high`, or one of `choices`.

    >>> Knob(2, low=1, high=64).allows(16), Knob("v1", choices=("v1", "v2")).allows("v3")
    (True, False)
    """

    value: KnobValue
    low: float | None = None
    high: float | None = None
    choices: tuple[KnobValue, ...] = ()

    def allows(self, value: KnobValue) -> bool:
        """Whether the service says that it takes this value."""
        if self.choices:
            return value in self.choices
        if isinstance(value, str) or isinstance(self.value, str):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def within(self, low: float | None, high: float | None) -> Knob:
        """The same knob in a range that is narrower than, never beyond, its own.

        >>> Knob(2, low=1, high=64).within(0, 16)
        Knob(value=2, low=1, high=16, choices=())
        """
        lows = [bound for bound in (self.low, low) if bound is not None]
        highs = [bound for bound in (self.high, high) if bound is not None]
        return replace(self, low=max(lows, default=None), high=min(highs, default=None))


class Actuator(Protocol):
    """The knobs of one service. Raises Unavailable when the service cannot be reached, BadInput when it refuses."""

    def read(self) -> Mapping[str, Knob]:
        """Every knob as it stands now."""
        ...

    def apply(self, knob: str, value: KnobValue) -> KnobValue:
        """Set one knob; returns the value read back from the service afterwards. Setting it twice is setting it once."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
