"""What gives way where the spool is full: samples, of which a gap is left that says how many there were, of when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

from recwatch.core.bus import COMPACTED, Outgoing
from recwatch.core.bus.codec import WORDS, decode
from recwatch.core.bus.spool.entries import Entry
from recwatch.core.errors import BadInput

GAPS = "gaps"
"""The topic, of a spool only, of entries that stand for samples that were dropped; on the bus they are marks."""


def outgoing_of(entry: Entry) -> Outgoing:
    """The message that waits. Raises BadInput where no word is made of the payload, as after a change of versions."""
    if entry.topic == GAPS:
        return Outgoing("marks", entry.key, entry.gap.mark(entry.key))
    if entry.topic not in WORDS:
        raise BadInput(f"there is no topic {entry.topic}")
    return Outgoing(entry.topic, entry.key, decode(entry.topic, entry.payload))


def thinned(entries: Sequence[Entry], in_doubt: Container[int]) -> tuple[list[Entry], Counter[str]]:
    """The entries without samples, with one gap a service where its first were; and how many samples that drops, by service.

    Of compacted topics the last entry of each key stays. Entries whose numbers are `in_doubt` stay as they are, for the bus
    may have them.
    """
    kept: dict[object, Entry] = {}
    gaps: dict[str, Entry] = {}
    dropped: Counter[str] = Counter()
    for entry in entries:
        doubtful = entry.number in in_doubt
        if doubtful or not entry.gap:
            place = (entry.topic, entry.key) if entry.topic in COMPACTED and not doubtful else entry.number
            kept.pop(place, None)
            kept[place] = entry
            continue
        before = gaps.get(entry.key, Entry(entry.number, GAPS, entry.key, b""))
        gaps[entry.key] = before._replace(gap=before.gap + entry.gap)
        if entry.topic != GAPS:
            dropped[entry.key] += entry.gap.samples
    return sorted([*gaps.values(), *kept.values()], key=lambda entry: entry.number), dropped
