"""Polled batches in the order in which they are judged, which is the same however many are polled at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from recwatch.core.signals import Samples


def rounds(batches: Iterable[Samples]) -> list[list[Samples]]:
    """Ticks as they came: the k-th round holds the k-th tick of every service, so each series is in a round at most once.

    A batch of several times is cut into one tick for each, the oldest first.

    >>> first, second = Samples.of("shop", "", 1_000, {7: 0.5}), Samples.of("shop", "", 2_000, {7: 0.6})
    >>> other = Samples.of("news", "", 1_700, {9: 3.0})
    >>> [[tick.service for tick in one] for one in rounds([first, second, other])]
    [['shop', 'news'], ['shop']]
    """
    filled = [batch for batch in batches if len(batch.time_ms)]
    ticks: dict[str, list[Samples]] = defaultdict(list)
    for batch, mixed in zip(filled, _of_several_times(filled), strict=True):
        ticks[batch.service] += _split(batch) if mixed else [batch]
    return [
        [of_service[number] for of_service in ticks.values() if number < len(of_service)]
        for number in range(max(map(len, ticks.values()), default=0))
    ]


def _of_several_times(batches: Sequence[Samples]) -> list[bool]:
    """Whether the rows of a batch differ in time; asked for all at once, since numpy's cost is per call."""
    if not batches:
        return []
    lengths = np.array([len(batch.time_ms) for batch in batches])
    ends = np.cumsum(lengths)
    time_ms = np.concatenate([batch.time_ms for batch in batches])
    changes = np.flatnonzero(time_ms[1:] != time_ms[:-1]) + 1
    several: list[bool] = (np.searchsorted(changes, ends) > np.searchsorted(changes, ends - lengths, side="right")).tolist()
    return several


def _split(batch: Samples) -> list[Samples]:
    order = np.argsort(batch.time_ms, kind="stable")
    ends = np.flatnonzero(np.diff(batch.time_ms[order])) + 1
    return [_only(batch, rows) for rows in np.split(order, ends)]


def _only(batch: Samples, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Samples:
    return Samples(batch.service, batch.target, batch.time_ms[rows], batch.series_id[rows], batch.value[rows])
