"""How long pieces of work take, measured in turns, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from recwatch.core.signals import Float64

Work = Callable[[], object]


def in_turns(
    sides: Mapping[str, Work], rounds: Iterable[int], clock: Callable[[], float] = time.perf_counter
) -> dict[str, Float64]:
    """Seconds by the clock that each side took in each round; every other round goes through the sides backwards.

    >>> list(in_turns({"nothing": lambda: None}, range(3))["nothing"] >= 0)
    [np.True_, np.True_, np.True_]
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in rounds:
        for name in list(sides)[:: -1 if number % 2 else 1]:
            began = clock()
            sides[name]()
            taken[name].append(clock() - began)
    return {name: np.array(seconds) for name, seconds in taken.items()}
