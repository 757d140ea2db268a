"""What a service promises its users."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Objective:
    """Bounds that a service is to stay within, over the window of the canonical quantiles."""

    latency_p99_seconds: float
    errors_ratio: float = 0.01

    def bounds(self) -> dict[str, float]:
        """Upper bound of each canonical signal that the objective speaks of."""
        return {"latency_p99_seconds": self.latency_p99_seconds, "errors_ratio": self.errors_ratio}
