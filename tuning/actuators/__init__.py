"""Turns an approved change into the world's new state: one file per way to reach a knob."""

from __future__ import annotations

from tuning.actuators.actuator import Actuator, Knob
from tuning.actuators.http_knobs import HttpKnobs

ACTUATORS = {"http_knobs": HttpKnobs}

__all__ = ["ACTUATORS", "Actuator", "HttpKnobs", "Knob"]
