"""The words of a coverage report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from collectors.measures import Labels

Flag = Literal["lower_bound", "one_instance", "clipped", "not_counted"]
FLAGS: Mapping[Flag, str] = {
    "lower_bound": "its rank falls into the +Inf bucket: the truth is higher, and the figure may lie below the mean",
    "one_instance": "worked out by one instance over a span of its own choice: it cannot be merged with others",
    "clipped": "the server said more than 1, an overshoot of its counters",
    "not_counted": "another metric of the page tells the same, and that one counts",
}

State = Literal["second_scrape", "undefined", "missing", "never", "elsewhere"]
STATES: Mapping[State, str] = {
    "second_scrape": "a rate, which one page cannot tell; it is there from the second scrape on",
    "undefined": "the server tells it, and has nothing to tell now, which is not 0",
    "missing": "this kind of server can tell it, and this page does not",
    "never": "this kind of server does not tell it",
    "elsewhere": "a page of another kind of server tells it",
}


Need = Literal["type", "unit", "rule"]
NEEDS: Mapping[Need, str] = {
    "type": "no # TYPE on the page says whether it is a counter or a level",
    "unit": "the name ends in no base unit",
    "rule": "recwatch has none that says which quantity it tells",
}


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A metric of the page with its own labels; `le` is left out, since a histogram is read as a whole."""

    metric: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A figure in base units; a mean, a share or a quantile is over the server's lifetime.

    It is `stable` if its labels are among those that recwatch keeps for the signal; others look closer than that.
    """

    signal: str
    labels: Labels
    value: float
    unit: str
    flags: tuple[Flag, ...]
    sources: tuple[Source, ...]
    stable: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A canonical signal without a figure, and why; `setting` is what to switch on at the server, where that helps."""

    signal: str
    state: State
    why: str
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A kind of server that wrote the page, the metric by which it was recognised, and what tells its version."""

    kind: str
    recognised_by: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Unplaced:
    """A metric of which no signal is made, and what is needed to place it; nothing where it is of no service.

    `certain` is what its type and its name alone make sure of: `value`, or `count` and `mean`.
    """

    name: str
    type: str
    unit: str
    series: int
    needed: tuple[Need, ...]
    certain: Mapping[str, float]
