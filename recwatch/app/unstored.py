"""What the embedded deployment does at its end with what the store has not taken."""

from __future__ import annotations

import logging
from contextlib import closing

from recwatch.app.config import SpoolConfig
from recwatch.core.bus import Bus
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.bus.spool import Spool
from recwatch.core.signals import Samples
from recwatch.core.stage import Outgoing
from recwatch.core.store.sink import Sink
from recwatch.core.wording import counted

logger = logging.getLogger(__name__)

TOLD_ONCE = frozenset({"series", "samples", "marks", "silences"})
"""What nobody would tell again. All else follows from it, or is about how things were; that of a decision is over."""


def keep_unstored(bus: Bus, config: SpoolConfig) -> None:
    """Put what the sink has not stored ahead of what waits in the spool: the bus in memory ends, and the next start goes on.

    Raises Unavailable where the disk refuses.
    """
    if not isinstance(bus, MemoryBus):
        return
    left = [Outgoing(r.topic, r.key, r.message) for r in bus.uncommitted(Sink.name) if r.topic in TOLD_ONCE]
    if not left:
        return
    with closing(Spool(config.folder, bus, config.max_bytes)) as spool:
        spool.put_first(left)
    samples = sum(len(message) for _, _, message in left if isinstance(message, Samples))
    logger.warning(
        "%s, not stored yet, wait in %s; the next start stores them", counted(samples, "sample"), config.folder
    )
