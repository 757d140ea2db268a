"""One stage at work: what it was given, what it said, what of that is published, and where its kept memory ends."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Protocol

from recwatch.core.bus import COMPACTED, Outgoing, Position, Record, Subscription, next_offsets
from recwatch.core.errors import BadInput
from recwatch.core.signals import Samples
from recwatch.core.stage import Acts, Buffered, Remembers, Snapshot, Stage

logger = logging.getLogger(__name__)


class Snapshots(Protocol):
    """Where the memory of stages is kept."""

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None: ...

    def load_snapshot(self, name: str) -> Snapshot | None: ...


class Shard:
    """A stage over the partitions that it was given, with the memory that is kept under `name`.

    On a bus that `lasts` a successor begins where the kept memory ends. That offset is committed, and beside it the one up
    to which records were handled and their outcome was published: of what lies between, a successor tells no samples again,
    but events, whose repetition is ignored. On a bus that ends with the process, what was handled is committed.

    `generation` is that of the group when the partitions were given. Snapshots get a higher one than the one that was
    restored, for a group that was away for long counts anew.
    """

    def __init__(self, stage: Stage, name: str, store: Snapshots | None, *, lasts: bool, generation: int = 0) -> None:
        self.stage = stage
        self.inbox: Sequence[Record] = ()
        self.outgoing: list[Outgoing] = []
        self._name = name
        self._store = store
        self._memory = stage if isinstance(stage, Remembers) and store is not None else None
        self._lasts = lasts and self._memory is not None
        self._owned: set[Position] = set()
        self._handled: Sequence[Record] = ()
        self._done: dict[Position, int] = {}
        self._kept: dict[Position, int] = {}
        self._published: dict[Position, int] = {}
        self._committed: dict[Position, tuple[int, str]] = {}
        self._generation = self._restored(generation)
        self._acts = self._acts_now()

    @property
    def busy(self) -> bool:
        """Whether there is something to handle, publish or commit before more is polled."""
        return bool(self.inbox or self.outgoing or self._handled)

    @property
    def acted(self) -> bool:
        """Whether the stage did, since its memory was kept, what a successor must not do again."""
        return self._acts_now() != self._acts

    def take_on(self, positions: Sequence[Position], offsets: Subscription) -> None:
        """Own these partitions from now on; the last owner says in `offsets` up to where it published."""
        self._owned.update(positions)
        for position in positions if self._lasts else ():
            offset, text = offsets.committed(position) or (0, "")
            self._published[position] = json.loads(text)["published"] if text else offset

    def give_up(self, positions: Sequence[Position]) -> None:
        """What is not committed of these partitions is another member's to handle."""
        self._owned.difference_update(positions)
        self.inbox = [record for record in self.inbox if _position(record) in self._owned]
        self._handled = [record for record in self._handled if _position(record) in self._owned]
        for position in positions:
            for known in (self._done, self._kept, self._published, self._committed):
                known.pop(position, None)

    def give(self, records: Sequence[Record]) -> None:
        """Add records to handle but for those that the memory holds; a compacted topic comes whole to each owner."""
        if self._lasts:
            records = [
                r for r in records if r.topic in COMPACTED or r.offset >= self._kept.setdefault(_position(r), r.offset)
            ]
        self.inbox = [*self.inbox, *records]

    def handle(self, now_ms: int) -> int:
        """Let the stage handle its records, and return how many: those first that an earlier owner published of, if any."""
        again = any(map(self._is_told, self.inbox))
        first = [r for r in self.inbox if r.topic in COMPACTED or self._is_told(r)] if again else self.inbox
        rest = [r for r in self.inbox if not (r.topic in COMPACTED or self._is_told(r))] if again else []
        said = self.stage.process(first, now_ms)
        self.outgoing += [outgoing for outgoing in said if not (again and isinstance(outgoing.message, Samples))]
        self.inbox, self._handled = rest, [*self._handled, *first]
        return len(first)

    def settle(self) -> Sequence[Record]:
        """What was handled is published now. Returns it."""
        settled, self._handled = self._handled, []
        self._done |= next_offsets(settled)
        return settled

    def commit(self, offsets: Subscription) -> None:
        """Commit what is news, unless the stage commits for itself."""
        if isinstance(self.stage, Buffered):
            return
        now = {position: self._stand(position) for position in self._owned & self._done.keys()}
        news = {position: stand for position, stand in now.items() if stand != self._committed.get(position)}
        if news:
            offsets.commit({p: offset for p, (offset, _) in news.items()}, {p: text for p, (_, text) in news.items()})
            self._committed |= news

    def keep(self, now_ms: int) -> None:
        """Keep the memory, unless what it led to is still to be published: no successor would publish that."""
        if self._memory is None or self._store is None or (self._lasts and (self.outgoing or self._handled)):
            return
        acts = self._acts_now()
        offsets = {p: offset for p, offset in self._done.items() if p.topic not in COMPACTED} if self._lasts else {}
        self._store.save_snapshot(self._name, Snapshot(self._memory.snapshot(), now_ms, self._generation, offsets))
        self._acts = acts
        self._kept |= offsets

    def _stand(self, position: Position) -> tuple[int, str]:
        """The offset to commit, and the text beside it."""
        published = max(self._done[position], self._published.get(position, 0))
        if not self._lasts or position.topic in COMPACTED:
            return published, ""
        return self._kept[position], json.dumps({"published": published})

    def _is_told(self, record: Record) -> bool:
        return record.topic not in COMPACTED and record.offset < self._published.get(_position(record), 0)

    def _acts_now(self) -> int:
        return self._memory.acts if isinstance(self._memory, Acts) else 0

    def _restored(self, generation: int) -> int:
        """Restore the memory, where there is one that fits; returns the generation of the snapshots to come."""
        if self._memory is None or self._store is None:
            return generation
        kept = self._store.load_snapshot(self._name)
        if kept is None:
            if self._name != self.stage.name and self._store.load_snapshot(self.stage.name) is not None:
                logger.warning("%s begins anew: what is kept as %s is of all partitions", self._name, self.stage.name)
            return generation
        try:
            self._memory.restore(kept.blob)
        except BadInput as error:
            logger.warning("%s begins anew: %s", self._name, error)
        else:
            self._done, self._kept = (dict(kept.offsets), dict(kept.offsets)) if self._lasts else ({}, {})
        return max(generation, kept.generation + 1) if self._lasts else kept.generation


def _position(record: Record) -> Position:
    return Position(record.topic, record.partition)
