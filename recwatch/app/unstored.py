"""What the embedded deployment does at its end with what the store has not taken."""

from __future__ import annotations

import logging
from contextlib import closing

from recwatch.app.config import SpoolConfig
from recwatch.core.bus import Bus, Outgoing
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.bus.spool import Spool
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples
from recwatch.core.store.sink import Sink
from recwatch.core.wording import counted

logger = logging.getLogger(__name__)

TOLD_ONCE = frozenset({"series", "samples", "marks", "silences"})
"""What nobody tells again. Judgements, anomalies and incidents follow from it; a decision of a person is too old by then."""


def keep_unstored(bus: Bus, config: SpoolConfig) -> None:
    """Put what the sink has not stored ahead of all that waits in the spool, for a bus in memory ends with its process.

    The next start hands it on. A disk that refuses is told of, with what is lost.
    """
    if not isinstance(bus, MemoryBus):
        return
    left = [Outgoing(r.topic, r.key, r.message) for r in bus.uncommitted(Sink.name) if r.topic in TOLD_ONCE]
    if not left:
        return
    samples = counted(sum(len(message) for _, _, message in left if isinstance(message, Samples)), "sample")
    try:
        with closing(Spool(config.folder, bus, config.max_bytes)) as spool:
            spool.put_first(left)
    except Unavailable as error:
        logger.warning("of %s that are not stored some are lost: %s", samples, error)
    else:
        logger.warning("the store has not taken %s; they wait in %s for the next start", samples, config.folder)
