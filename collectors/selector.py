"""Prometheus's series selectors, such as `{job="ranker", zone=~"eu-.*"}`: which series belong to a service."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from recwatch.core.errors import BadInput

_NAME = "__name__"
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*(?:,|$)')
_SELECTOR = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """Whether a label's whole value fits; a label that a series lacks has the value ""."""

    label: str
    fits: re.Pattern[str]
    wanted: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        return (self.fits.fullmatch(labels.get(self.label, "")) is not None) == self.wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector as it was written, and what it demands of a series' labels, its name among them as `__name__`."""

    text: str
    matchers: tuple[Matcher, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector. Raises BadInput where it is none, or would match every series.

        >>> selector = Selector.parse('{job=~"ranker|recall", zone!="test"}')
        >>> selector.matches({"__name__": "up", "job": "ranker"}), selector.matches({"__name__": "up", "job": "rankers"})
        (True, False)
        """
        parts = _SELECTOR.fullmatch(text)
        if parts is None or not (parts[1] or parts[2]):
            raise BadInput(f"""{text!r} is no series selector; write one as Prometheus does, such as {{job="ranker"}}""")
        named = [Matcher(_NAME, re.compile(re.escape(parts[1])), wanted=True)] if parts[1] else []
        selector = cls(text, (*named, *_matchers(parts[2] or "", text)))
        if selector.matches({}):
            raise BadInput(f"""{text!r} selects series without any label, thus all; name one, such as {{job="ranker"}}""")
        return selector

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)


def _matchers(text: str, selector: str) -> list[Matcher]:
    matchers, place = [], 0
    while place < len(text.rstrip()):
        found = _MATCHER.match(text, place)
        if found is None:
            raise BadInput(f"{selector!r} is no series selector: it cannot be read from {text[place:]!r} on")
        matchers.append(_matcher(found[1], found[2], found[3], selector))
        place = found.end()
    return matchers


def _matcher(label: str, operator: str, quoted: str, selector: str) -> Matcher:
    try:
        value = json.loads(quoted)
        pattern = re.compile(value if "~" in operator else re.escape(value), re.DOTALL)
    except (ValueError, re.error) as error:
        raise BadInput(f"{selector!r} is no series selector: {quoted} cannot be read ({error})") from error
    return Matcher(label, pattern, wanted=operator[0] == "=")
