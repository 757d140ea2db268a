"""Which rankers there are: versions that were deployed, and the sizes each comes in."""

from __future__ import annotations

from dataclasses import dataclass

from recommender_ref.data import HISTORY

VERSIONS = {"v1": 1.0, "v2": 3.0}
"""Depth of each version, relative to v1: v2 answers as well as v1 and is three times the work."""

VARIANTS = {"full": (1.0, HISTORY), "light": (0.25, 4)}
"""Share of the depth, and clicks of history looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A ranker: `depth` blocks over the last `history` clicks."""

    depth: int
    history: int


def plans(depth: int) -> dict[tuple[str, str], Plan]:
    """The plan of every (version, variant), where v1 in full has `depth` blocks.

    >>> plans(16)["v2", "light"]
    Plan(depth=12, history=4)
    """
    return {
        (version, variant): Plan(max(1, round(depth * times * share)), history)
        for version, times in VERSIONS.items()
        for variant, (share, history) in VARIANTS.items()
    }
