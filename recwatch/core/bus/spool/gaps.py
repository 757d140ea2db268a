"""What gives way where the spool is full: samples, of which a gap is left that says how many there were, of when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass

from recwatch.core.bus import COMPACTED
from recwatch.core.bus.codec import WORDS, decode
from recwatch.core.bus.spool.entries import Entry
from recwatch.core.errors import BadInput
from recwatch.core.events import Mark
from recwatch.core.signals import Samples
from recwatch.core.stage import Outgoing
from recwatch.core.wording import counted, utc

GAPS = "gaps"
"""The topic, of a spool only, of entries that stand for samples that were dropped; on the bus they are marks."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples of a service that were dropped, and the times of the first and the last of them in unix milliseconds."""

    samples: int = 0
    start_ms: int = 2**63
    end_ms: int = 0

    def __add__(self, other: Gap) -> Gap:
        samples = self.samples + other.samples
        return Gap(samples, min(self.start_ms, other.start_ms), max(self.end_ms, other.end_ms))

    def mark(self, service: str) -> Mark:
        """What people are shown of it.

        >>> Gap(812, 1_700_000_000_000, 1_700_000_075_000).mark("shop").text
        'the spool was full: 812 samples from 2023-11-14 22:13:20 UTC to 2023-11-14 22:14:35 UTC were dropped'
        """
        span = f"from {utc(self.start_ms)} to {utc(self.end_ms)}"
        text = f"the spool was full: {counted(self.samples, 'sample')} {span} were dropped"
        return Mark.of(service, "note", self.start_ms, text, by="recwatch")


def outgoing_of(entry: Entry) -> Outgoing:
    """The message that waits. Raises BadInput where no word is made of the payload, as after a change of versions."""
    if entry.topic == GAPS:
        return Outgoing("marks", entry.key, _gap_in(entry).mark(entry.key))
    if entry.topic not in WORDS:
        raise BadInput(f"there is no topic {entry.topic}")
    return Outgoing(entry.topic, entry.key, decode(entry.topic, entry.payload))


def thinned(entries: Sequence[Entry], in_doubt: Container[int]) -> tuple[list[Entry], Counter[str]]:
    """The entries without samples, with one gap a service where its first were; and how many samples that drops, by service.

    Of compacted topics the last entry of each key stays. Entries whose numbers are `in_doubt` stay as they are, for the bus
    may have them.
    """
    kept: dict[object, Entry] = {}
    gaps: dict[str, tuple[int, Gap]] = {}
    dropped: Counter[str] = Counter()
    for entry in entries:
        doubtful = entry.number in in_doubt
        gap = None if doubtful else _gap_of(entry)
        if gap is None:
            place = (entry.topic, entry.key) if entry.topic in COMPACTED and not doubtful else entry.number
            kept.pop(place, None)
            kept[place] = entry
            continue
        number, before = gaps.get(entry.key, (entry.number, Gap()))
        gaps[entry.key] = (number, before + gap)
        if entry.topic != GAPS:
            dropped[entry.key] += gap.samples
    holes = [Entry(number, GAPS, key, json.dumps(asdict(gap)).encode()) for key, (number, gap) in gaps.items()]
    return sorted([*holes, *kept.values()]), dropped


def _gap_of(entry: Entry) -> Gap | None:
    """The gap that the entry is, or leaves; None where it holds no samples, or what cannot be read."""
    if entry.topic == GAPS:
        return _gap_in(entry)
    if WORDS.get(entry.topic) is not Samples:
        return None
    try:
        time_ms = decode(entry.topic, entry.payload).time_ms
    except BadInput:
        return None
    return Gap(len(time_ms), int(time_ms.min()), int(time_ms.max())) if len(time_ms) else None


def _gap_in(entry: Entry) -> Gap:
    return Gap(**json.loads(entry.payload))
