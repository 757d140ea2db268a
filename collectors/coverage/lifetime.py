"""What a signal can be made of from one page alone: the fleet's formulas, and what the fleet itself takes over a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from collectors.formulas import (
    By,
    Code,
    Formula,
    Level,
    Made,
    Mean,
    Profiled,
    Quantile,
    Rate,
    Share,
    ShareOfTime,
    Summary,
    Utilisation,
)
from collectors.measures import Labels
from collectors.recipes import FORMULAS, QUANTILES
from collectors.tally import Tally
from recwatch.core.quantiles import quantile


@dataclass(frozen=True, slots=True)
class Total:
    """All that a counter counted since its start."""

    quantity: str


@dataclass(frozen=True, slots=True)
class OfStage:
    """What is told of one stage."""

    stage: str
    recipe: Mean | Quantile | Summary


@dataclass(frozen=True, slots=True)
class OfDeployments:
    """What is told of the stages that are deployments: what such a one takes is a latency, too."""

    recipe: Mean | Quantile


Recipe = Formula | Quantile | Total | OfStage | OfDeployments

OPTIONAL = "other_calls"
"""What the share of errors takes in where a server tells it."""

_FIRST: Mapping[str, tuple[Recipe, ...]] = {
    **{name: (quantile,) for name, quantile in QUANTILES.items()},
    "errors_ratio": (Share("requests_failed", ("requests", OPTIONAL)),),
    "latency_bucket_increments": (Rate("latency_seconds_bucket"),),
    "queue_wait_mean_seconds": (OfStage("queue", Mean("stage_seconds")),),
}
_LAST: Mapping[str, tuple[Recipe, ...]] = {
    "latency_mean_seconds": (OfDeployments(Mean("stage_seconds")),),
    **{
        name: (OfDeployments(Quantile("stage_seconds", quantile.q)),)
        for name, quantile in QUANTILES.items()
        if quantile.histogram == "latency_seconds"
    },
}


def _both(histogram: str, q: float) -> tuple[Quantile, Summary]:
    return (Quantile(histogram, q), Summary(histogram, q))


MORE: Mapping[str, tuple[Recipe, ...]] = {
    **{
        name.replace("p99", f"p{n}"): _both(quantile.histogram, n / 100)
        for name, quantile in QUANTILES.items()
        for n in (50, 95)
        if quantile.q == 0.99 and name.replace("p99", f"p{n}") not in QUANTILES
    },
    **{
        f"queue_wait_p{n}_seconds": tuple(OfStage("queue", one) for one in _both("stage_seconds", n / 100))
        for n in (50, 95, 99)
    },
}
"""Quantiles beside those that are signals: a page is read once, and more figures of it cost nothing."""


def recipes(signal: str) -> tuple[Recipe, ...]:
    """What a signal may be made of, the best first."""
    return _FIRST.get(signal, ()) + FORMULAS.get(signal, ()) + _LAST.get(signal, ())


def figures(recipe: Recipe, tally: Tally) -> By:
    """What a recipe makes of a page's tally; a rate nothing, since it takes two pages."""
    match recipe:
        case Total(quantity):
            return dict(tally.growth(quantity))
        case Quantile(histogram, q):
            found = {labels: bucket_quantile(counts, q) for labels, counts in tally.buckets(histogram).items()}
            return {labels: value for labels, value in found.items() if value is not None}
        case OfStage(_, inner):
            return _without_stage(figures(inner, tally))
        case OfDeployments(inner):
            return _without_stage({labels: v for labels, v in figures(inner, tally).items() if concerns(recipe, labels)})
        case _:
            return recipe.of(tally)


def _without_stage(by: By) -> By:
    return {tuple(pair for pair in labels if pair[0] != "stage"): value for labels, value in by.items()}


def bucket_quantile(counts: Mapping[str, float], q: float) -> float | None:
    """The quantile of a histogram's counts by `le`; None where it is empty."""
    les = sorted(counts, key=float)
    return quantile([float(le) for le in les], [counts[le] for le in les], q)


def over_lifetime(signal: str) -> bool:
    """Whether its figure may be made of counters, and thus be over the server's lifetime."""
    return any(isinstance(one, Mean | Share | Quantile | OfStage | OfDeployments) for one in recipes(signal))


def is_rate(recipe: Recipe) -> bool:
    """Whether it takes two pages."""
    return isinstance(recipe, Rate | ShareOfTime | Utilisation)


def quantities(recipe: Recipe) -> tuple[str, ...]:
    """The quantities that a recipe puts together."""
    names: tuple[str, ...]
    match recipe:
        case (
            Level(quantity) | Rate(quantity) | Total(quantity) | Profiled(quantity) | Code(quantity) | ShareOfTime(quantity)
        ):
            names = (quantity,)
        case Mean(histogram):
            names = (f"{histogram}_sum", f"{histogram}_count")
        case Quantile(histogram):
            names = (f"{histogram}_bucket",)
        case Summary(summary):
            names = (f"{summary}_quantile",)
        case Share(part, wholes):
            names = (part, *wholes)
        case Utilisation(part, whole):
            names = (part, whole)
        case Made(_, parts):
            names = tuple(quantity for part in parts for quantity in quantities(part))
        case OfStage(_, inner) | OfDeployments(inner):
            names = quantities(inner)
        case _:
            assert_never(recipe)
    return tuple(dict.fromkeys(names))


def concerns(recipe: Recipe, labels: Labels) -> bool:
    """Whether a recipe looks at what carries these labels."""
    match recipe:
        case Summary(_, q):
            return ("quantile", repr(q)) in labels
        case OfStage(stage, inner):
            return ("stage", stage) in labels and concerns(inner, labels)
        case OfDeployments():
            return any(name == "deployment" for name, _ in labels)
        case _:
            return True
