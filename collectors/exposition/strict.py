"""Whether a page is all that its format's standard demands, and what both standards have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from collectors.exposition.page import Reason
from collectors.exposition.row import Unreadable
from recwatch.core.errors import BadInput

REAL = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
_NUMBER = re.compile(rf"{REAL}|[-+]?inf(?:inity)?|nan", re.IGNORECASE)

_FAULTS: Mapping[Reason, str] = {
    "encoding": "it is not UTF-8",
    "name": "it has no name that can be read",
    "labels": "its labels cannot be read",
    "duplicate_label": "it gives a label twice",
    "value": "its value is no number",
    "timestamp": "its timestamp is none",
    "exemplar": "its exemplar cannot be read",
    "type": "its type is none",
}


class Violation(ValueError):
    """A row breaks a rule; says which."""


class Rules(Protocol):
    """The rules of a format. Raises Violation or Unreadable at the first row that breaks one."""

    needs_last_newline: bool

    def take(self, spelled: bytes) -> None:
        """One row."""
        ...

    def end(self) -> None:
        """After the last row."""
        ...


def check(body: bytes, rules: Rules) -> None:
    """Raises BadInput, with the number of the row and the row, where the page breaks a rule."""
    rows = body.removesuffix(b"\n").split(b"\n") if body else []
    number, row = 0, b""
    try:
        for number, row in enumerate(rows, start=1):  # noqa: B007 - told of below
            rules.take(row)
        if rules.needs_last_newline and body and not body.endswith(b"\n"):
            raise Violation("no newline ends it")
        rules.end()
    except (Violation, Unreadable) as fault:
        why = _FAULTS[fault.reason] if isinstance(fault, Unreadable) else str(fault)
        shown = row[:480].decode(errors="replace")[:120]
        raise BadInput(f"line {number} breaks the format: {why}: {shown!r}") from fault


def strict_number(word: str) -> float:
    """The number a word says. Raises Violation for what is beyond floats, too.

    >>> strict_number("1e3"), strict_number("-Inf")
    (1000.0, -inf)
    """
    if not _NUMBER.fullmatch(word):
        raise Violation(f"{word!r} is no number")
    number = float(word)
    if math.isinf(number) and "inf" not in word.lower():
        raise Violation(f"{word!r} is beyond floats")
    return number


def check_buckets(buckets: Sequence[tuple[float, float]], count: float | None) -> None:
    """The rules for one histogram's buckets, each an upper bound and a value."""
    check_order(buckets)
    if not buckets or buckets[-1][0] != math.inf:
        raise Violation('the histogram before it has no bucket of le="+Inf"')
    if count is not None and count != buckets[-1][1]:
        raise Violation("the histogram before it has a count that is not the value of its +Inf bucket")


def check_order(points: Sequence[tuple[float, float]]) -> None:
    """The rule that the bounds of one histogram, or the quantiles of one summary, increase."""
    if any(not low < high for (low, _), (high, _) in pairwise(points)):
        raise Violation("the bounds or quantiles before it do not increase")
