"""Publishes, and keeps on disk what the bus does not take."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from threading import Lock

from recwatch.core.bus import Bus, Outgoing, known_topics
from recwatch.core.bus.codec import encode
from recwatch.core.bus.spool.entries import Entry
from recwatch.core.bus.spool.gap import gap_without
from recwatch.core.bus.spool.journal import Journal
from recwatch.core.bus.spool.measured import Measured, Others, nobody_else
from recwatch.core.bus.spool.thinning import outgoing_of, thinned
from recwatch.core.errors import BadInput, Unavailable

logger = logging.getLogger(__name__)

IDLE_S = 1.0


class Spool:
    """Takes the place of `bus` for those who publish: what it does not take waits in `folder`, of `max_bytes` at most.

    While nothing waits a message goes straight to the bus, and nothing is written. Once the bus was `Unavailable` all
    messages line up on disk, so that those of a key keep their order as long as each key has one publisher at a time, until
    `replay`, which one thread calls again and again, has published everything. A spool that finds entries of an earlier
    process publishes them first.

    What `publish` returned for is not lost, however this process ends: the bus acknowledged it, or it is on disk; what a
    disk that loses its power had not written yet, a second or so, is. The bus may get it twice: a process that is killed
    may have published what it had not noted yet, `READ_BYTES` of it at most. The sink stores what comes twice once.

    Where there is no room the oldest samples give way; where the disk refuses, the newest do. Both are counted in
    `dropped`, and are shown as a mark of their service; series and marks stay. `spooled` counts the samples that had to
    wait, `bus_trouble` and `disk_trouble` say what is wrong at the moment.

    What `others` say that they have measured meanwhile is left out. They are asked before anything is handed on of what
    waited while the bus was away or this process was not there, and whenever `ask_again` was called.
    """

    def __init__(self, folder: Path, bus: Bus, max_bytes: int, others: Others = nobody_else) -> None:
        self.spooled: Counter[str] = Counter()
        self.bus_trouble = ""
        self._bus = bus
        self._in_doubt: dict[int, Outgoing] = {}
        """By number what the bus may have taken although it did not say so. Offered again, it must be the same object."""
        self._acknowledged: set[int] = set()
        self._journal = Journal(folder, max_bytes, self._in_doubt)
        self._numbers = count(self._journal.next_number)
        self._owed: list[Entry] = []
        """What the disk does not take: neither samples, nor much."""
        self._others = others
        self._measured: Mapping[str, Measured] = {}
        self._unasked = True
        self._refusal = ""
        self._overflow = ""
        self._away = False
        self._closed = False
        self._using = Lock()

    @property
    def dropped(self) -> Counter[str]:
        """Samples that were dropped, by service."""
        return self._journal.dropped

    @property
    def size_bytes(self) -> int:
        """What waits, in bytes on disk."""
        with self._using:
            return self._journal.size_bytes

    @property
    def disk_trouble(self) -> str:
        """What is wrong with the disk; empty where nothing is."""
        return self._refusal or self._overflow

    def publish(self, topic: str, key: str, message: object) -> None:
        """Append one message, as `Bus.publish` does, or keep it. Raises what the bus does, but for Unavailable."""
        known_topics((topic,))
        outgoing = Outgoing(topic, key, message)
        with self._using:
            if self._waits:
                self._keep(outgoing)
                return
        try:
            self._bus.publish(*outgoing)
        except Unavailable as error:
            with self._using:
                self._say_away(error)
                self._keep(outgoing, in_doubt=True)

    def put_first(self, messages: Sequence[Outgoing]) -> None:
        """Keep messages that are older than all that wait. Raises Unavailable where the disk refuses some."""
        with self._using:
            kept = [Entry(0, topic, key, encode(topic, word), gap_without(word)) for topic, key, word in messages]
            self._journal.put_first(kept)
            for entry in kept:
                self.spooled[entry.key] += entry.gap.samples

    def replay(self) -> float:
        """Publish some of what waits, the oldest first. Returns the seconds to wait until the next call."""
        try:
            with self._using:
                if self._closed:
                    return IDLE_S
                self._write_down()
                asking = self._unasked and self._waits
            if asking and (away := self._ask()) is not None:
                return away.retry_after_s
            with self._using:
                batch = () if self._closed else self._batch()
            failure = self._publish(batch)
            with self._using:
                return IDLE_S if self._closed else self._settle(failure)
        except Unavailable as error:
            self._refusal = str(error)
            return error.retry_after_s

    def ask_again(self) -> None:
        """Others may have begun to measure what this process did."""
        self._unasked = True

    def close(self) -> None:
        """Let another process have the folder; what waits there waits on. Publishing then raises Unavailable."""
        with self._using:
            if self._closed:
                return
            self._closed = True
            self._write_down()
            if self._owed:
                logger.warning("spool %s: %d messages are lost, for the disk refuses", self._journal.folder, len(self._owed))
            self._journal.close()

    @property
    def _waits(self) -> bool:
        return bool(self._journal) or bool(self._owed)

    def _keep(self, outgoing: Outgoing, in_doubt: bool = False) -> None:
        if self._closed:
            raise Unavailable(f"cannot publish to {outgoing.topic}: the spool is closed; recwatch is stopping")
        topic, key, message = outgoing
        entry = Entry(next(self._numbers), topic, key, encode(topic, message), gap_without(message))
        if in_doubt:
            self._in_doubt[entry.number] = outgoing
        if entry.gap:
            self.spooled[key] += entry.gap.samples
        self._owed.append(entry)
        self._write_down()

    def _write_down(self) -> None:
        """Bring to the disk what is owed to it. Of what it refuses the samples give way."""
        dropped_before = self.dropped.total()
        try:
            while self._owed:
                self._journal.append(self._owed[0])
                self._owed.pop(0)
        except Unavailable as error:
            self._refusal = str(error)
            self._owed, dropped = thinned(self._owed, self._in_doubt)
            self.dropped.update(dropped)
            return
        self._refusal = ""
        if self.dropped.total() > dropped_before:
            self._overflow = (
                f"spool {self._journal.folder}: it is full and the oldest samples give way; see why the bus is away, or"
                " raise spool.max_bytes"
            )

    def _ask(self) -> Unavailable | None:
        """Hear what others have measured. Returns why that cannot be known yet, and the bus therefore counts as away."""
        self._unasked = False
        try:
            self._measured = self._others()
        except Unavailable as error:
            with self._using:
                self._say_away(error)
            return error
        return None

    def _batch(self) -> Sequence[int]:
        """The numbers of what to publish next; while the bus is away, of one message that shows whether it is back."""
        waiting = [entry for entry in self._journal.oldest() or self._owed if entry.number not in self._acknowledged]
        covered = [e for e in waiting if e.key in self._measured and self._measured[e.key].covers(e)]
        self._acknowledged.update(entry.number for entry in covered)
        waiting = [entry for entry in waiting if entry.number not in self._acknowledged]
        batch = waiting[:1] if self._away else waiting
        return [entry.number for entry in batch if self._could_read(entry)]

    def _could_read(self, entry: Entry) -> bool:
        if entry.number not in self._in_doubt:
            try:
                self._in_doubt[entry.number] = outgoing_of(entry)
            except BadInput as error:
                logger.warning("spool %s: a message of %s is left out: %s", self._journal.folder, entry.key, error)
                self._acknowledged.add(entry.number)
                return False
        return True

    def _publish(self, batch: Sequence[int]) -> Unavailable | None:
        """Publish these messages, and take note of what is acknowledged. Returns why it is not all of them."""
        waiting = [self._in_doubt[number] for number in batch]
        failure = None
        try:
            self._bus.publish_all(waiting)
        except Unavailable as error:
            failure = error
        left = set(map(id, waiting))
        self._acknowledged.update(number for number in batch if id(self._in_doubt[number]) not in left)
        return failure

    def _settle(self, failure: Unavailable | None) -> float:
        """Forget what was acknowledged, once all before it is. Returns the seconds to wait before the next messages."""
        left = {*self._journal.leave(self._acknowledged), *({entry.number for entry in self._owed} & self._acknowledged)}
        self._owed = [entry for entry in self._owed if entry.number not in left]
        self._acknowledged -= left
        for number in left:
            self._in_doubt.pop(number, None)
        self._journal.sync()
        if failure is not None:
            self._say_away(failure)
            return failure.retry_after_s
        self._away = False
        if self._waits:
            return 0.0
        self.bus_trouble = self._overflow = ""
        return IDLE_S

    def _say_away(self, failure: Unavailable) -> None:
        self._away = self._unasked = True
        self.bus_trouble = f"{failure}; until then what is measured waits in {self._journal.folder}"
