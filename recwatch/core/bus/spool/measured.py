"""What need not be handed on any more, because another publisher of the same key has measured it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

from recwatch.core.bus import COMPACTED
from recwatch.core.bus.spool.entries import Entry


class Measured(NamedTuple):
    """From when to when another measures what is published under a key, in unix milliseconds; endless while it does."""

    since_ms: int
    until_ms: float = inf

    def covers(self, entry: Entry) -> bool:
        """Whether the other has told, or tells, what waits here: samples of its time, and how things are now.

        >>> from recwatch.core.bus.spool.gap import Gap
        >>> samples = [Entry(1, "samples", "shop", b"", Gap(10, ms, ms)) for ms in (4_000, 5_000, 9_000)]
        >>> [Measured(5_000).covers(entry) for entry in samples], [Measured(5_000, 6_000).covers(entry) for entry in samples]
        ([False, True, True], [False, True, False])
        >>> definition = Entry(2, "series", "shop", b"")
        >>> Measured(5_000).covers(definition), Measured(5_000, 6_000).covers(definition)
        (True, False)
        """
        if entry.topic in COMPACTED:
            return self.until_ms == inf
        return bool(entry.gap) and self.since_ms <= entry.gap.start_ms <= self.until_ms


Others = Callable[[], Mapping[str, Measured]]


def nobody_else() -> Mapping[str, Measured]:
    """What there is to know of others where there are none."""
    return {}
