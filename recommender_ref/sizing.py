"""How deep the ranker should be, so that the same story is seen on a fast machine and on a slow one."""

from __future__ import annotations

PAIR_SECONDS = 0.008
"""Time of a batch of two: 110 requests/s then use about half of what batches of two can do."""
DEPTHS = (4, 64)


def depth_for(block_seconds: float, pair_seconds: float = PAIR_SECONDS) -> int:
    """Blocks that take about `pair_seconds` for a batch of two, if one takes `block_seconds`.

    >>> depth_for(0.0005)
    16
    """
    return max(DEPTHS[0], min(DEPTHS[1], round(pair_seconds / block_seconds)))
