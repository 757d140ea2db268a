"""`python -m collectors.signals_page`: the reference page docs/signals.md, made of the tables that the code itself uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from collectors.coverage.figures import counters, total_name
from collectors.coverage.gaps import needed, rules_for
from collectors.coverage.lifetime import Recipe, recipes
from collectors.normalise import NORMALISERS
from collectors.normalise.rules import Rule, Table
from recwatch.core.canonical import SIGNALS, Signal

_HEAD = """# Signals

<!-- Made by `make docs` of the tables in recwatch/core/canonical.py, collectors/quantities.py and collectors/normalise. -->

What recwatch knows of a service, whatever server it runs on: each signal with its unit, and the metrics that it is made of.
Names of counters are given without `_total`, which a server may append; in brackets stands which versions write them. Where
several rows of one server tell a signal, the first that a page has counts. `recwatch coverage TARGET` says which of these a
server of yours tells.

"""
_TOTALS = """## Totals

What counters counted since the server's start, as `recwatch coverage` shows it.

| total | unit | what |
| --- | --- | --- |
"""


def page() -> str:
    """The whole page, in Markdown."""
    groups = groupby(SIGNALS.values(), key=lambda signal: signal.group)
    by_group: dict[str, list[Signal]] = {}
    for group, signals in groups:
        by_group.setdefault(group, []).extend(signals)
    sections = (f"## {group.capitalize()}\n\n" + "".join(map(_signal, of_group)) for group, of_group in by_group.items())
    totals = "".join(_row(f"`{total_name(q.name)}`", q.unit or "count", q.help) for q in counters())
    return _HEAD + "".join(sections) + _TOTALS + totals


def _signal(signal: Signal) -> str:
    labels = f"; told apart by {', '.join(signal.labels)}" if signal.labels else ""
    felt = "; users feel it, so it can page" if signal.user_facing else ""
    head = f"### `{signal.name}`\n\n{signal.help} Unit: {signal.unit or 'none'}{labels}{felt}.\n\n"
    rows = "".join(row for kind, table in NORMALISERS.items() for row in _sources(kind, table, signal.name))
    columns = _row("server", "made of", "switched on by") + _row(*["---"] * 3)
    return head + (columns + rows + "\n" if rows else "")


def _sources(kind: str, table: Table, signal: str) -> Iterator[str]:
    """A row for each recipe by which this kind of server tells the signal."""
    for recipe in recipes(signal):
        if rules := _rules(table, recipe):
            settings = dict.fromkeys(rule.setting for rule in rules if rule.setting)
            yield _row(kind, ", ".join(_names(rules)), "; ".join(settings) or table.settings.get(signal, ""))


def _names(rules: Sequence[Rule]) -> Iterator[str]:
    """The names with their versions, each once, whatever prefixes the server may have to put before it."""
    versions = {name: rule.versions for rule in reversed(rules) for name in rule.names}
    names = list(dict.fromkeys(name for rule in rules for name in rule.names))
    while names:
        first, *names = names
        core = first if first.startswith(":") else first.rpartition(":")[2]
        others = [name for name in names if name.endswith(core)]
        names = [name for name in names if name not in others]
        notes = [f"also with {len(others)} other prefixes"] * bool(others) + [versions[first]] * bool(versions[first])
        yield f"`{first}` ({'; '.join(notes)})" if notes else f"`{first}`"


def _rules(table: Table, recipe: Recipe) -> Sequence[Rule]:
    """All rules that the recipe takes; none where the server lacks one of its quantities."""
    found = [rules_for(table, quantity, recipe) for quantity in needed(recipe)]
    return [rule for rules in found for rule in rules] if all(found) else []


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
