"""One row of exposition text, read with care, in the words of either format.

The grammar is that of prometheus_client's parsers, which is wider than the standards: blanks and trailing commas may stand
where text format allows them, unknown escapes are kept as they are, and exemplars are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from collectors.exposition.page import NO_TIME_MS, Line, Reason
from recwatch.core.signals import Kind

# All repetition is possessive: a row that does not match fails in time linear in its length.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
BRACES = rf'\{{((?:[^"}}]*+{QUOTED})*+[^"}}]*+)\}}'
_SERIES = rf"[ \t]*+({NAME})?+[ \t]*+(?:{BRACES}|(?<=[ \t]))[ \t]*+"
WORD = r"[^\x00-\x20#{]++"
_READING = rf"({WORD})(?:[ \t]++({WORD}))?"
_EXEMPLAR = rf"(?: # {BRACES} ({WORD})(?: ({WORD}))?)?"

_ROW = re.compile(rf"{_SERIES}{_READING}{_EXEMPLAR}[ \t\r]*+")
_SERIES_ONLY = re.compile(_SERIES)
_READING_ONLY = re.compile(rf"{_READING}[ \t]*+(?=#|$)")
_VALUE_ONLY = re.compile(rf"{WORD}[ \t]")
_BARE_NAME = re.compile(rf"[ \t]*+({NAME})?+[ \t]*+")
_LABEL = re.compile(rf'[ \t]*+(?:({NAME})|({QUOTED}))[ \t]*+(?:=[ \t]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)")?[ \t]*+(,|$)')
_NAME = re.compile(NAME)
_ESCAPE = re.compile(r'\\([\\n"])')
EXACT_MS = 2**53
"""Below it, a float holds every millisecond."""

_ESCAPED = {"\\": "\\", "n": "\n", '"': '"'}


class Unreadable(ValueError):
    """The row says nothing that can be used; `reason` is the part at fault."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


Read = tuple[Line, float, int, int]
"""What a row says: its line, value, timestamp in ms or `NO_TIME_MS`, and how many words at its end are value and timestamp.

That is 1 or 2 where each stands after one blank. It is 0 where the row ends otherwise, as with an exemplar, so that only a
careful reading finds its value.
"""


class RowReader:
    """Reads rows that belong together; equal names and label values become one object, which keeps many rows small."""

    def __init__(self, kinds: Mapping[str, Kind], *, openmetrics: bool) -> None:
        self._kinds = kinds
        self._openmetrics = openmetrics
        self._words: dict[str, str] = {}
        self._names = _Names()
        self._terms = _Terms(self._words)

    def read(self, spelled: bytes) -> Read:
        """The sample in a row. Raises Unreadable."""
        text = decoded(spelled)
        try:
            return self._read_usual(text)
        except Unreadable:
            return self._read_any(text)

    def _read_usual(self, text: str) -> Read:
        """A row as most are: a name, labels without escapes, one blank, a value. Raises Unreadable for any other."""
        head, _, value = text.rpartition(" ")
        name, braces, inside = head.partition("{")
        labels: dict[str, str] = {}
        if braces:
            if inside[-2:] != '"}' or "\\" in inside:
                raise Unreadable("labels")
            terms = inside[:-2].split('",')
            labels = dict([self._terms[term] for term in terms])
            if len(labels) < len(terms):
                raise Unreadable("duplicate_label")
        name = self._names[name]
        return Line(name, labels, self._kinds[name]), number(value), NO_TIME_MS, 1

    def _read_any(self, text: str) -> Read:
        match = _ROW.fullmatch(text)
        if match is None:
            raise Unreadable(_fault(text))
        name, inside, value, time = match.group(1, 2, 3, 4)
        labels: dict[str, str] = {}
        if inside:
            name = self._labels(inside, name, labels)
        if name is None:
            raise Unreadable("name")
        name = self._words.setdefault(name, name)
        time_ms = _time_ms(time, self._openmetrics)
        return Line(name, labels, self._kinds[name]), number(value), time_ms, _plain_words(match, time_ms)

    def _labels(self, inside: str, name: str | None, labels: dict[str, str]) -> str | None:
        """Read what stands between braces into `labels`; the name of the sample, which may be quoted among them."""
        position, end, words = 0, len(inside), self._words
        while position < end:
            match = _LABEL.match(inside, position)
            if match is None:
                if inside[position:].strip(" \t"):
                    raise Unreadable("labels")
                break
            position = match.end()
            label, quoted, value = match.group(1, 2, 3)
            if label is None:
                label = unescaped(quoted[1:-1])
                if value is None:
                    if name is not None or not label:
                        raise Unreadable("name")
                    name = label
                    continue
            if value is None or label == "__name__" or not label:
                raise Unreadable("labels")
            if label in labels:
                raise Unreadable("duplicate_label")
            value = unescaped(value)
            labels[words.setdefault(label, label)] = words.setdefault(value, value)
        return name


class _Names(dict[str, str]):
    """Names that are spelled as names are. Raises Unreadable."""

    def __missing__(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise Unreadable("name")
        self[name] = name
        return name


class _Labels(dict[str, str]):
    """The label that stands between blanks. Raises Unreadable."""

    def __missing__(self, spelled: str) -> str:
        label = spelled.strip(" \t")
        if label == "__name__" or not _NAME.fullmatch(label):
            raise Unreadable("labels")
        self[spelled] = label
        return label


class _Terms(dict[str, tuple[str, str]]):
    """The label and value that a term without its last quote says, such as `zone="eu-1`. Raises Unreadable."""

    def __init__(self, words: dict[str, str]) -> None:
        super().__init__()
        self._words = words
        self._labels = _Labels()

    def __missing__(self, term: str) -> tuple[str, str]:
        label, opened, value = term.partition('="')
        if not opened or '"' in value:
            raise Unreadable("labels")
        self[term] = pair = self._labels[label], self._words.setdefault(value, value)
        return pair


def decoded(spelled: bytes) -> str:
    """The text of a row. Raises Unreadable."""
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        raise Unreadable("encoding") from None


def unescaped(text: str) -> str:
    r"""The text that was escaped; a backslash before anything but `\`, `n` and `"` stands for itself.

    >>> unescaped(r'a\"b\\c\d')
    'a"b\\c\\d'
    """
    return _ESCAPE.sub(lambda match: _ESCAPED[match.group(1)], text)


def number(text: str) -> float:
    """The value that a word says, infinite where it is beyond floats. Raises Unreadable.

    >>> number("1e+010"), number("+Inf")
    (10000000000.0, inf)
    """
    if "_" in text or not text.isascii() or text != text.strip():  # only Python takes `1_000` and other scripts' digits
        raise Unreadable("value")
    try:
        return float(text)
    except ValueError:
        raise Unreadable("value") from None


def _time_ms(text: str | None, openmetrics: bool) -> int:
    """Text format counts milliseconds, OpenMetrics seconds."""
    if text is None:
        return NO_TIME_MS
    try:
        time = number(text)
        time_ms = round(time * 1000) if openmetrics else round(time) if abs(time) < EXACT_MS else int(text)
    except (ValueError, OverflowError):  # no number, NaN, infinite
        raise Unreadable("timestamp") from None
    if not NO_TIME_MS < time_ms < -NO_TIME_MS:
        raise Unreadable("timestamp")
    return time_ms


def _plain_words(match: re.Match[str], time_ms: int) -> int:
    text, end = match.string, len(match.string)
    if text[match.start(3) - 1] not in " \t":
        return 0
    if match.end(4) == end and match.start(4) == match.end(3) + 1 and abs(time_ms) < EXACT_MS:
        return 2
    return 1 if match.end(3) == end else 0


def _fault(text: str) -> Reason:
    """Which part of a row that does not match is at fault."""
    series = _SERIES_ONLY.match(text)
    if series is None:
        bare = _BARE_NAME.match(text)
        rest = text[bare.end() :] if bare else text
        if rest.startswith("{"):
            return "labels"
        return "name" if rest or not text else "value"
    if series.group(1) is None and series.group(2) is None:
        return "name"
    if _READING_ONLY.match(text, series.end()):
        return "exemplar"
    return "timestamp" if _VALUE_ONLY.match(text, series.end()) else "value"
