"""How well alarms find the changes that several people marked, who often disagree.

The figures of van den Burg and Williams (arXiv:2003.06222), and a consensus pooled over series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detectors.event_score import Alarms
from detectors.labelled import LabelledSeries

MARGIN_ROWS = 5
MAX_DELAY_ROWS = 20
AGREEING = 3
"""People who must mark a change, within the margin of each other, for it to count as a consensus."""


@dataclass(frozen=True, slots=True)
class ChangePointScores:
    """`consensus_*` are pooled over all series; the others are means over series and count row 0 as a change for all."""

    consensus_recall: float
    consensus_precision: float
    consensus_f1: float
    precision: float
    recall: float
    f1: float


def change_point_scores(corpus: Sequence[LabelledSeries], alarms: Sequence[Alarms]) -> ChangePointScores:
    """Alarms count from `MARGIN_ROWS` before a consensus change to `MAX_DELAY_ROWS` after it, so a causal method can win."""
    caught = changes = false = 0
    each = []
    for series, told in zip(corpus, alarms, strict=True):
        rows = first_rows(told)
        consensus = consensus_rows(series)
        marks = [row for rows_of in series.annotators.values() for row in rows_of]
        changes += len(consensus)
        caught += sum(any(_near(row, change) for row in rows) for change in consensus)
        false += sum(not any(_near(row, mark) for mark in marks) for row in rows if row > 0)
        each.append(_agreement(series, rows))
    precision, recall, f1 = (float(figure) for figure in np.mean(each, axis=0))
    return ChangePointScores(
        consensus_recall=caught / changes if changes else float("nan"),
        consensus_precision=caught / (caught + false) if caught + false else float("nan"),
        consensus_f1=2 * caught / (caught + false + changes) if changes else float("nan"),
        precision=precision,
        recall=recall,
        f1=f1,
    )


def _near(row: int, change: int) -> bool:
    return row > 0 and -MARGIN_ROWS <= row - change <= MAX_DELAY_ROWS


def first_rows(alarms: Alarms) -> list[int]:
    """The first row of each run of alarms; a run goes on over gaps of up to `MARGIN_ROWS`."""
    rows = np.flatnonzero(alarms).tolist()
    return rows[:1] + [row for before, row in pairwise(rows) if row - before > MARGIN_ROWS]


def consensus_rows(series: LabelledSeries) -> list[int]:
    """The median rows of marks that at least `AGREEING` people made, each mark within the margin of the one before."""
    marks = sorted((row, who) for who, rows in series.annotators.items() for row in rows if row > 0)
    groups: list[list[tuple[int, str]]] = []
    for mark in marks:
        if groups and mark[0] - groups[-1][-1][0] <= MARGIN_ROWS:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [int(np.median([row for row, _ in group])) for group in groups if len({who for _, who in group}) >= AGREEING]


def _agreement(series: LabelledSeries, rows: Iterable[int]) -> tuple[float, float, float]:
    truths = [{0, *marked} for marked in series.annotators.values()]
    found = {0, *rows}
    precision = _matched(set().union(*truths), found) / len(found)
    recall = float(np.mean([_matched(truth, found) / len(truth) for truth in truths]))
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def _matched(truth: set[int], found: set[int]) -> int:
    """How many true changes have a found one of their own within the margin, the nearest first."""
    left, matched = set(found), 0
    for change in sorted(truth):
        near = [row for row in left if abs(row - change) <= MARGIN_ROWS]
        if near:
            matched += 1
            left.remove(min(near, key=lambda row: (abs(row - change), row)))
    return matched
