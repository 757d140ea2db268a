"""The score of the Numenta Anomaly Benchmark, standard profile (Lavin and Ahmad, 2015): early in the window is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detectors.labelled import PROBATION_RATIO, LabelledSeries
from recwatch.core.signals import Float64, Int64

FALSE_ALARM_WEIGHT = 0.11
PROBATION_OF_AT_MOST_ROWS = 5000
FORGIVEN_WIDTHS = 3.0
"""How far behind a window, in window widths, an alarm still costs less than the full price."""


class NabScore(NamedTuple):
    """`value` is 0 for silence and 100 for perfection; it is reached with alarms at scores of `threshold` and more."""

    threshold: float
    value: float


def nab_score(corpus: Sequence[LabelledSeries], scores: Sequence[Float64], threshold: float | None = None) -> NabScore:
    """The score with one threshold for all series; with the best one where none is given, as NAB's own table has it."""
    gains = [_gains(*pair) for pair in zip(corpus, scores, strict=True)]
    at = np.concatenate([part for part, _, _ in gains])
    order = np.argsort(-at, kind="stable")
    missed = -float(sum(windows for _, _, windows in gains))
    perfect = float(sum(len(series.runs) for series in corpus))
    raw = missed + np.cumsum(np.concatenate([part for _, part, _ in gains])[order])
    ends = np.append(np.flatnonzero(np.diff(at[order])), len(at) - 1)
    thresholds = np.append(np.inf, at[order][ends])
    values = 100.0 * (np.append(missed, raw[ends]) - missed) / (perfect - missed)
    best = int(np.argmax(values)) if threshold is None else int(np.flatnonzero(thresholds >= threshold)[-1])
    return NabScore(float(thresholds[best]), float(values[best]))


def _gains(series: LabelledSeries, score: Float64) -> tuple[Float64, Float64, int]:
    """Scores at which the total changes as the threshold falls, by how much, and how many windows can be caught."""
    reward, window = _rewards(series)
    counts = np.arange(len(series)) >= min(int(PROBATION_RATIO * len(series)), PROBATION_RATIO * PROBATION_OF_AT_MOST_ROWS)
    outside = counts & (window < 0)
    at, gain = [score[outside]], [reward[outside]]
    windows = [counts & (window == number) for number in range(len(series.runs))]
    for inside in windows:
        order = np.argsort(-score[inside], kind="stable")
        at.append(score[inside][order])
        best_so_far = np.maximum.accumulate(reward[inside][order])
        gain.append(np.diff(best_so_far, prepend=-1.0))
    return np.concatenate(at), np.concatenate(gain), sum(bool(inside.any()) for inside in windows)


def _rewards(series: LabelledSeries) -> tuple[Float64, Int64]:
    """What an alarm at each row earns (or costs), and the window that the row lies in, -1 for none."""
    rows = len(series)
    reward, window = np.full(rows, -FALSE_ALARM_WEIGHT), np.full(rows, -1)
    runs = sorted(series.runs)
    for number, (first, last) in enumerate(runs):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        reward[first : last + 1] = _sigmoid(-(last - inside + 1) / width) / _sigmoid(np.array(-1.0))
        window[first : last + 1] = number
        until = runs[number + 1][0] if number + 1 < len(runs) else rows
        behind = (np.arange(last + 1, until) - last) / (width - 1 or 1e-9)
        price = np.where(behind > FORGIVEN_WIDTHS, -1.0, _sigmoid(np.minimum(behind, FORGIVEN_WIDTHS)))
        reward[last + 1 : until] = FALSE_ALARM_WEIGHT * price
    return reward, window


def _sigmoid(behind: Float64) -> Float64:
    """NAB's scaled sigmoid: near 1 well before a window's end, 0 at it, near -1 well behind."""
    scaled: Float64 = 2.0 / (1.0 + np.exp(5.0 * behind)) - 1.0
    return scaled
