"""Waiting for what comes by itself, never for longer than is enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

ENOUGH_S = 60.0


def until(happened: Callable[[], object], what: str) -> None:
    """Wait for it; fail in words when it does not come."""
    pause, deadline = Event(), time.monotonic() + ENOUGH_S
    while not happened():
        assert time.monotonic() < deadline, f"within {ENOUGH_S:.0f} s this did not happen: {what}"
        pause.wait(0.02)
