"""How good an answer is, judged by the taste that the generator knows."""

from __future__ import annotations

from collections import deque

import numpy as np

from recommender_ref.data import Float32, Int64, World

WINDOW = 200


def ndcg(served: Int64, affinity: Float32) -> float:
    """Normalised discounted cumulative gain of a list, 0..1 (Järvelin and Kekäläinen, 2002).

    An item's gain is the square of its affinity, or 0 where that is negative.

    >>> ndcg(np.array([2, 0]), np.array([0.5, 0.1, 0.9], dtype=np.float32))
    1.0
    """
    gain = np.maximum(affinity, 0.0) ** 2
    discount = 1.0 / np.log2(np.arange(2, len(served) + 2))
    best = np.sort(gain)[::-1][: len(served)]
    return round(float(gain[served] @ discount / (best @ discount)), 6)


class ShadowSample:
    """Judges one answer in `every`, and keeps the mean of the last `WINDOW` judged."""

    def __init__(self, world: World, every: int = 8) -> None:
        self._world = world
        self._every = every
        self._seen = 0
        self._judged: deque[float] = deque(maxlen=WINDOW)

    def offer(self, user: int, step: int, items: Int64) -> None:
        """Take note of an answer."""
        self._seen += 1
        if self._seen % self._every == 0:
            self._judged.append(ndcg(items, self._world.affinity(user, step)))

    def mean_ratio(self) -> float:
        """Mean quality 0..1; NaN before anything was judged."""
        judged = list(self._judged)
        return sum(judged) / len(judged) if judged else float("nan")
