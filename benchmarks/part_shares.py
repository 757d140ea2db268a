"""How the time of a piece of work is shared by the files that it calls into."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.timing import Work


def shares(work: Work, times: int, parts: Sequence[ModuleType]) -> dict[str, float]:
    """The share (0..1) of the time of `work` that passes in calls from elsewhere into each part, by its module's name."""
    profile = cProfile.Profile()
    for _ in range(times):
        profile.runcall(work)
    stats: Any = pstats.Stats(profile)
    spent = {str(part.__file__): 0.0 for part in parts}
    for (file, _, _), (*_, callers) in stats.stats.items():
        if file in spent:
            spent[file] += sum(cumulative for (caller, _, _), (*_, cumulative) in callers.items() if caller != file)
    return {Path(file).stem: seconds / stats.total_tt for file, seconds in spent.items()}
