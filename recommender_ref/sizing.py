"""How deep the ranker should be, so that the same story is seen on a fast machine and on a slow one."""

from __future__ import annotations

PAIR_SECONDS = 0.0055
"""Time of a batch of two on an idle machine. While it serves, batches take a third longer; 110 requests/s then keep one
replica busy half of the time."""
DEPTHS = (4, 64)


def depth_for(block_seconds: float) -> int:
    """Blocks that take about `PAIR_SECONDS` for a batch of two, if one takes `block_seconds`.

    >>> depth_for(0.0005)
    11
    """
    return max(DEPTHS[0], min(DEPTHS[1], round(PAIR_SECONDS / block_seconds)))
