"""Every bus there is, by the name that the configuration gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recwatch.core.bus import Bus
from recwatch.core.bus.memory import MemoryBus

BUSES: Mapping[str, Callable[..., Bus]] = {"memory": MemoryBus}
