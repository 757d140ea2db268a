"""What waits on disk while the bus is away."""

from recwatch.core.bus.spool.publishing import Spool

__all__ = ["Spool"]
