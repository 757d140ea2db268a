"""What a page tells once its server's spelling is taken off: quantities in base units, on their way to canonical signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Cumulative = Literal[
    "requests_ok",
    "requests_failed",
    "latency_seconds_sum",
    "latency_seconds_count",
    "latency_seconds_bucket",  # {le}
    "stage_seconds_sum",  # {stage}
    "stage_seconds_count",  # {stage}
    "batch_size_sum",
    "batch_size_count",
    "batch_seconds_sum",
    "batch_seconds_count",
    "replica_busy_seconds",
    "cache_hits",
    "cache_misses",
    "gpu_throttled_seconds",  # {gpu, emulated}
]
Instant = Literal[
    "queue_depth",
    "replicas",
    "answer_quality_ratio",
    "gpu_busy_ratio",  # {gpu, emulated}, as all below
    "gpu_memory_used_bytes",
    "gpu_sm_clock_hertz",
    "gpu_power_watts",
    "gpu_temperature_celsius",
    "model_info",  # {version, variant}: 1 for the model that answers
    "process_start_seconds",  # unix time
]
Quantity = Cumulative | Instant
CUMULATIVE: frozenset[str] = frozenset(get_args(Cumulative))
INSTANT: frozenset[str] = frozenset(get_args(Instant))
# Counted by the hardware: a restart of the process that reports them does not set them back.
HARDWARE: frozenset[str] = frozenset({"gpu_throttled_seconds"})

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]


@dataclass(frozen=True, slots=True)
class Measure:
    """What one line of a page measures; `scale` turns its value into the base unit. Lines with one key add up."""

    quantity: Quantity
    labels: Labels = ()
    scale: float = 1.0

    @property
    def key(self) -> Key:
        return (self.quantity, self.labels)

    @property
    def cumulative(self) -> bool:
        """Whether the value counts up from the process's start, so that only its increments mean something."""
        return self.quantity in CUMULATIVE


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape of one target in measures. `increments`, over `interval_s`, are empty on a target's first scrape."""

    time_ms: int
    instants: tuple[tuple[Key, float], ...]
    increments: Mapping[Key, float]
    interval_s: float | None


def canonical_le(text: str) -> str:
    """A bucket's upper bound as every part of recwatch writes it, however the server does.

    >>> canonical_le("5"), canonical_le("1e-02"), canonical_le("+Inf")
    ('5.0', '0.01', '+Inf')
    """
    bound = float(text)
    return "+Inf" if bound == math.inf else repr(bound)


def latency_bucket(le: str) -> Measure | None:
    """The measure of a latency bucket up to `le`; None where `le`, as some page wrote it, is no number.

    >>> latency_bucket("abc") is None
    True
    """
    try:
        bound = canonical_le(le)
    except ValueError:
        return None
    return None if bound == "nan" else Measure("latency_seconds_bucket", (("le", bound),))
