"""Canonical signals without a figure → why there is none, and what would bring one."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from collectors.coverage.figures import Told
from collectors.coverage.lifetime import OPTIONAL, OfDeployments, OfStage, Recipe, concerns, is_rate, quantities, recipes
from collectors.coverage.words import Figure, Gap
from collectors.formulas import Quantile, Summary
from collectors.normalise.anywhere import ANYWHERE
from collectors.normalise.rules import ABSENT, ANY, Rule, Table
from recwatch.core.canonical import SIGNALS, Signal

_ELSEWHERE: Mapping[str, str] = {
    "server": "give the service the page of its model server, too",
    "cache": "give the service the page of its cache, too, such as the Redis exporter's",
    "gpu": "give the service the page of a GPU exporter, too, such as DCGM exporter's",
    "host": "give the service the page of a node exporter, too",
}


def gaps(told: Sequence[Told], figures: Iterable[Figure], tables: Mapping[str, Table]) -> tuple[Gap, ...]:
    """Every canonical signal of which there is no figure, in their order; `tables` are those of the page's kinds."""
    known = {figure.signal for figure in figures}
    by_quantity: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_quantity[one.measure.quantity].append(one)
    wanted = (signal for signal in SIGNALS.values() if signal.name not in known and signal.group != "telemetry")
    return tuple(_gap(signal, by_quantity, tables) for signal in wanted)


def needed(recipe: Recipe) -> tuple[str, ...]:
    """The quantities without which a recipe makes nothing."""
    return tuple(quantity for quantity in quantities(recipe) if quantity != OPTIONAL)


def rules_for(table: Table, quantity: str, recipe: Recipe) -> tuple[Rule, ...]:
    """The rules by which a kind of server tells the quantity as the recipe wants it."""
    return tuple(rule for rule in table.rules if quantity in rule.quantities and _admits(rule, recipe))


def _admits(rule: Rule, recipe: Recipe) -> bool:
    match recipe:
        case Summary():
            return "quantile" in rule.labels
        case OfStage(stage):
            return rule.fixed.get("stage") == stage
        case OfDeployments():
            return "deployment" in rule.labels
        case _:
            return True


def _gap(signal: Signal, told: Mapping[str, Sequence[Told]], tables: Mapping[str, Table]) -> Gap:
    """Why there is no figure: the page has all it takes, or this kind of server can tell it, or it cannot."""
    for recipe in recipes(signal.name):
        lines = _lines(recipe, told)
        if all(lines.values()):
            return _without_figure(signal, recipe, list(lines.values()))
    for table in (*tables.values(), *((ANYWHERE,) if signal.group == "host" else ())):
        for recipe in recipes(signal.name):
            rules = {quantity: rules_for(table, quantity, recipe) for quantity in needed(recipe)}
            if all(rules.values()):
                lines = _lines(recipe, told)
                return _missing(signal, [rules[quantity][0] for quantity in rules if not lines[quantity]], table, told)
    return _never(signal, tables)


def _lines(recipe: Recipe, told: Mapping[str, Sequence[Told]]) -> Mapping[str, Sequence[Told]]:
    """What the page has of each quantity that the recipe needs."""
    return {
        quantity: [one for one in told.get(quantity, ()) if concerns(recipe, one.measure.labels)]
        for quantity in needed(recipe)
    }


def _without_figure(signal: Signal, recipe: Recipe, lines: Sequence[Sequence[Told]]) -> Gap:
    if is_rate(recipe) and all(any(math.isfinite(one.value) for one in of_quantity) for of_quantity in lines):
        return Gap(signal.name, "second_scrape", "")
    return Gap(signal.name, "undefined", _undefined(recipe, [one for of_quantity in lines for one in of_quantity]))


def _undefined(recipe: Recipe, lines: Sequence[Told]) -> str:
    if not any(math.isfinite(one.printed) for one in lines):
        return "the server prints its sign for 'no reading'"
    if not any(math.isfinite(one.value) for one in lines):
        return f"the server prints {lines[0].printed:g}, which means that it is undefined"
    if isinstance(recipe, Quantile) and not any(("le", "+Inf") in one.measure.labels for one in lines):
        return "the histogram is cut off: it has no +Inf bucket"
    if all(one.value == 0 for one in lines):
        return "nothing has been counted yet"
    return "nothing that can be told has been counted yet"


def _missing(signal: Signal, rules: Sequence[Rule], table: Table, told: Mapping[str, Sequence[Told]]) -> Gap:
    """Names the metrics that would tell the signal; of a metric with a label for what happened, it may yet happen."""
    metrics = ", ".join(dict.fromkeys(map(_named, rules)))
    setting = next((rule.setting for rule in rules if rule.setting), table.settings.get(signal.name, ""))
    on_page = {one.line.name.removesuffix("_total") for of_quantity in told.values() for one in of_quantity}
    if all(name.removesuffix("_total") in on_page for rule in rules for name in rule.names[:1]):
        return Gap(signal.name, "undefined", f"nothing counted yet: no row is {metrics}", setting)
    return Gap(signal.name, "missing", f"the page lacks {metrics}", setting)


def _named(rule: Rule) -> str:
    wanted = ((label, values) for label, values in rule.where.items() if values != ANY and values[0] != ABSENT)
    labels = ", ".join(
        f'{label if isinstance(label, str) else label[0]}="{values[0]}{"|…" if len(values) > 1 else ""}"'
        for label, values in wanted
    )
    since = f" ({rule.versions})" if rule.versions else ""
    return f"{rule.names[0]}{f'{{{labels}}}' if labels else ''}{since}"


def _never(signal: Signal, tables: Mapping[str, Table]) -> Gap:
    why = next((t.settings[signal.name] for t in tables.values() if signal.name in t.settings), "")
    if why:
        return Gap(signal.name, "never", why)
    if not tables:
        return Gap(signal.name, "never", "it is not known which server wrote the page; --kind says so")
    if _place(signal) in {_place_of(table) for table in tables.values()}:
        return Gap(signal.name, "never", f"no metric of {' or '.join(tables)} is known that tells them")
    return Gap(signal.name, "elsewhere", _ELSEWHERE[_place(signal)])


def _place_of(table: Table) -> str:
    """What this kind of server is mostly about."""
    told = {quantity for rule in table.rules for quantity in rule.quantities}
    about = Counter(
        _place(signal) for signal in SIGNALS.values() if any(told >= set(needed(recipe)) for recipe in recipes(signal.name))
    )
    return about.most_common(1)[0][0]


def _place(signal: Signal) -> str:
    if signal.group == "cache":
        return "cache" if signal.name.startswith("cache_") else "server"  # a prefix cache is the model server's own
    return signal.group if signal.group in _ELSEWHERE else "server"
