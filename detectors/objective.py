"""Judges a signal by what the service promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import LARGEST, Batch, Judges
from recwatch.core.signals import Float64, Int64, Judgement

LEAST_BOUND = 1e-9
BOUND = "objective_bound"
"""Not a signal but the service's own promise, given beside the readings like one."""


class ObjectiveBound:
    """The score is the value over the upper bound that the service's objective sets; nothing is learnt."""

    name = "objective"
    needs: tuple[str, ...] = (BOUND,)
    judges: Judges = "otherwise"

    def update(self, batch: Batch) -> Judgement:
        bound = batch.beside[BOUND]
        zero = np.zeros(len(batch)) + 0.0 * bound
        score = np.clip(batch.value, 0.0, LARGEST) / np.maximum(bound, LEAST_BOUND)
        return Judgement(score, zero, zero, bound)

    def warmup_ratio(self, row: Int64) -> Float64:
        return np.ones(len(row))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Nothing is kept."""
