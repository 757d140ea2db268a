"""The rules of Prometheus text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details. Where it leaves a case open, it is decided
as Prometheus does: numbers are Go's, without hexadecimal ones and underscores, and a `HELP` without a name is no `HELP`.
"""

from __future__ import annotations

import re
from collections import defaultdict

from collectors.exposition.page import Line
from collectors.exposition.row import BRACES, NAME, QUOTED, WORD, RowReader, decoded, unescaped
from collectors.exposition.strict import Violation, check_buckets, check_order, strict_number

_COMMENT = re.compile(r"#[ \t]*+(HELP|TYPE)(?![^ \t])[ \t]*+(.*)", re.DOTALL)
_NAMED = re.compile(rf"(?:({NAME})|({QUOTED}))(?:[ \t]++(.*))?", re.DOTALL)
_SAMPLE = re.compile(
    rf"(?:{NAME}[ \t]*+(?:{BRACES}|(?<=[ \t]))|{BRACES})[ \t]*+({WORD})(?:[ \t]++([-+]?[0-9]++))?", re.DOTALL
)
_UNKNOWN_ESCAPE = re.compile(r'(?<!\\)(?:\\\\)*+\\(?![\\n"])')
_QUOTED = re.compile(QUOTED, re.DOTALL)
_TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
_PARTS = {"_bucket": ("histogram",), "_sum": ("histogram", "summary"), "_count": ("histogram", "summary")}
_BOUND = {"histogram": "le", "summary": "quantile"}

_Labels = frozenset[tuple[str, str]]


class TextRules:
    """Takes the rows of a page in turn; raises Violation or Unreadable at the first that breaks a rule."""

    needs_last_newline = True

    def __init__(self) -> None:
        self._reader = RowReader(defaultdict(lambda: "untyped"), openmetrics=False)
        self._types: dict[str, str] = {}
        self._helped: set[str] = set()
        self._sampled: set[str] = set()
        self._family = ""
        self._seen: set[tuple[str, _Labels]] = set()
        self._bounds: dict[_Labels, list[tuple[float, float]]] = {}
        self._counts: dict[_Labels, float] = {}

    def take(self, spelled: bytes) -> None:
        """One row."""
        text = decoded(spelled).strip(" \t")
        if text.startswith("#"):
            self._take_comment(text)
        elif text:
            self._take_sample(text)

    def end(self) -> None:
        """After the last row."""
        self._end_family("")

    def _take_comment(self, text: str) -> None:
        comment = _COMMENT.fullmatch(text)
        if comment is None or (comment.group(1) == "HELP" and not comment.group(2)):
            return
        of = _NAMED.fullmatch(comment.group(2))
        if of is None:
            raise Violation("it is of no metric name")
        name, said = of.group(1) or _unquoted(of.group(2)), of.group(3) or ""
        if name in self._sampled:
            raise Violation(f"it stands after samples of {name}")
        if comment.group(1) == "HELP":
            self._help(name, said)
        else:
            self._type(name, said)

    def _help(self, name: str, said: str) -> None:
        if name in self._helped:
            raise Violation(f"it is the second HELP of {name}")
        if _UNKNOWN_ESCAPE.search(said):
            raise Violation("a backslash in it is not escaped")
        self._helped.add(name)

    def _type(self, name: str, said: str) -> None:
        if name in self._types:
            raise Violation(f"it is the second TYPE of {name}")
        if said not in _TYPES:
            raise Violation(f"a type is one of {', '.join(_TYPES)}")
        self._types[name] = said

    def _take_sample(self, text: str) -> None:
        line = self._reader.read(text.encode())[0]
        sample = _SAMPLE.fullmatch(text)
        if sample is None:
            raise Violation("it is no name, labels, value and whole timestamp")
        _check_labels(sample.group(1) or sample.group(2) or "")
        value = strict_number(sample.group(3))
        if sample.group(4) is not None and not -(2**63) <= int(sample.group(4)) < 2**63:
            raise Violation("its timestamp is beyond 64 bits")
        labels = frozenset(line.labels.items())
        if (line.name, labels) in self._seen:
            raise Violation("a row before it has the same name and labels")
        self._seen.add((line.name, labels))
        self._take_into_family(line, labels, value)

    def _take_into_family(self, line: Line, labels: _Labels, value: float) -> None:
        family = self._family_of(line.name)
        if family != self._family:
            self._end_family(family)
            if family in self._sampled:
                raise Violation(f"rows of another metric stand between it and those of {family} before it")
            self._sampled.add(family)
        bound = _BOUND.get(self._types.get(family, ""), "")
        if bound in line.labels:
            group = frozenset(pair for pair in labels if pair[0] != bound)
            self._bounds.setdefault(group, []).append((strict_number(line.labels[bound]), value))
        elif line.name == f"{family}_count":
            self._counts[labels] = value

    def _family_of(self, name: str) -> str:
        """The histogram or summary that the name is a part of, or the name itself."""
        if name not in self._types:
            for suffix, types in _PARTS.items():
                family = name.removesuffix(suffix)
                if family != name and self._types.get(family) in types:
                    return family
        return name

    def _end_family(self, following: str) -> None:
        """Check what the family that ends here says as a whole."""
        if self._types.get(self._family) == "histogram":
            for group in self._bounds.keys() | self._counts.keys():
                check_buckets(self._bounds.get(group, []), self._counts.get(group))
        elif self._types.get(self._family) == "summary":
            for points in self._bounds.values():
                check_order(points)
        self._family = following
        self._bounds.clear()
        self._counts.clear()


def _check_labels(inside: str) -> None:
    """Names of labels have no colons, and their values only three escapes."""
    if ":" in _QUOTED.sub("", inside):
        raise Violation("a label's name that has a colon must be quoted")
    if any(_UNKNOWN_ESCAPE.search(quoted) for quoted in _QUOTED.findall(inside)):
        raise Violation("a backslash in it is not escaped")


def _unquoted(quoted: str) -> str:
    if _UNKNOWN_ESCAPE.search(quoted):
        raise Violation("a backslash in it is not escaped")
    return unescaped(quoted[1:-1])
