"""Judges a share that is to be whole: what it should be is known, and nothing is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import LARGEST, Batch, Judges
from recwatch.core.signals import Float64, Int64, Judgement

WHOLE = 1.0


class Floor:
    """Any reading below the floor scores above 1, from the first on: 1 and the distance to the floor in units of it.

    A learnt band would take a target that was down from the start for the normal state.
    """

    name = "floor"
    needs: tuple[str, ...] = ()
    judges: Judges = "distance"

    def __init__(self, floor: float = WHOLE) -> None:
        self._floor = floor

    def update(self, batch: Batch) -> Judgement:
        floor = np.full(len(batch), self._floor)
        short = floor - np.clip(batch.value, -LARGEST, LARGEST)
        score = np.where(short > 0.0, 1.0 + short / self._floor, 0.0)
        return Judgement(score, floor, floor, floor)

    def warmup_ratio(self, row: Int64) -> Float64:
        return np.ones(len(row))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Nothing is kept."""
