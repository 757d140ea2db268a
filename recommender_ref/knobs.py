"""What can be changed while the service runs: bounds, choices, and an all-or-nothing patch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from recommender_ref.variants import VARIANTS, VERSIONS

Value = int | float | str


class BadKnob(ValueError):
    """A change that cannot be made; its text names the knob and what it may be."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """The settings in force. Cache and delays in the unit that the name says; `max_queue` is in requests."""

    max_batch: int = 2
    batch_delay_ms: float = 1.0
    replicas: int = 1
    variant: str = "full"
    model_version: str = "v1"
    cache_ttl_s: float = 10.0
    cache_entries: int = 128
    max_queue: int = 256

    def patched(self, changes: Mapping[str, object]) -> Knobs:
        """These knobs with all of `changes` made; raises BadKnob, having changed nothing, if one cannot be.

        >>> Knobs().patched({"max_batch": 16}).max_batch
        16
        >>> Knobs().patched({"max_batch": 65})
        Traceback (most recent call last):
        recommender_ref.knobs.BadKnob: max_batch is 65; give a whole number from 1 to 64
        """
        checked: dict[str, Any] = {name: _checked(name, value) for name, value in changes.items()}
        return replace(self, **checked)

    def described(self) -> dict[str, dict[str, object]]:
        """Every knob with its value and its range or choices."""
        return {name: {"value": value, **_limits(name)} for name, value in asdict(self).items()}

    def numeric(self) -> dict[str, float]:
        """The knobs that are numbers."""
        return {name: float(value) for name, value in asdict(self).items() if name in RANGES}


RANGES: Mapping[str, tuple[int, int]] = {
    "max_batch": (1, 64),
    "batch_delay_ms": (0, 50),
    "replicas": (1, 4),
    "cache_ttl_s": (0, 3600),
    "cache_entries": (0, 100_000),
    "max_queue": (1, 4096),
}
FRACTIONAL = frozenset({"batch_delay_ms", "cache_ttl_s"})
CHOICES: Mapping[str, tuple[str, ...]] = {"variant": tuple(VARIANTS), "model_version": tuple(VERSIONS)}


def _limits(name: str) -> dict[str, object]:
    if name in CHOICES:
        return {"choices": list(CHOICES[name])}
    low, high = RANGES[name]
    return {"low": low, "high": high}


def _checked(name: str, value: object) -> Value:
    if name in CHOICES:
        if isinstance(value, str) and value in CHOICES[name]:
            return value
        raise BadKnob(f"{name} is {value!r}; give one of {', '.join(CHOICES[name])}")
    if name not in RANGES:
        raise BadKnob(f"There is no knob {name!r}; there are {', '.join((*RANGES, *CHOICES))}")
    low, high = RANGES[name]
    kind = (int, float) if name in FRACTIONAL else (int,)
    number = isinstance(value, kind) and not isinstance(value, bool)
    if isinstance(value, int | float) and number and math.isfinite(value) and low <= value <= high:
        return value
    raise BadKnob(f"{name} is {value!r}; give a {'number' if name in FRACTIONAL else 'whole number'} from {low} to {high}")
