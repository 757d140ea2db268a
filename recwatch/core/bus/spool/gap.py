"""What is missing where samples were dropped."""

from __future__ import annotations

from dataclasses import dataclass

from recwatch.core.events import Mark
from recwatch.core.signals import Samples
from recwatch.core.wording import counted, utc


@dataclass(frozen=True, slots=True)
class Gap:
    """How many samples there were, and the times of the first and the last of them in unix milliseconds."""

    samples: int = 0
    start_ms: int = 2**63 - 1
    end_ms: int = 0

    def __add__(self, other: Gap) -> Gap:
        samples = self.samples + other.samples
        return Gap(samples, min(self.start_ms, other.start_ms), max(self.end_ms, other.end_ms))

    def __bool__(self) -> bool:
        return self.samples > 0

    def mark(self, service: str) -> Mark:
        """What people are shown of it.

        >>> Gap(812, 1_700_000_000_000, 1_700_000_075_000).mark("shop").text
        'the spool was full: 812 samples from 2023-11-14 22:13:20 UTC to 2023-11-14 22:14:35 UTC were dropped'
        """
        span = f"from {utc(self.start_ms)} to {utc(self.end_ms)}"
        text = f"the spool was full: {counted(self.samples, 'sample')} {span} were dropped"
        return Mark.of(service, "note", self.start_ms, text, by="recwatch")


def gap_without(message: object) -> Gap:
    """The gap that a message leaves where it is dropped; none without samples."""
    if not isinstance(message, Samples) or not len(message):
        return Gap()
    return Gap(len(message), int(message.time_ms.min()), int(message.time_ms.max()))
