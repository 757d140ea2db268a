"""Exposition text for tests, and what prometheus_client and we make of it."""

import os
from pathlib import Path

import pytest
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from collectors.exposition import NO_TIME_MS, Line, Page

Spelled = list[tuple[str, dict[str, str], str, int | None]]
"""Samples: name, labels, value as written by Python, time in ms."""


def by_prometheus_client(text: str, *, openmetrics: bool = False) -> Spelled:
    families = (read_openmetrics if openmetrics else read_text)(text)
    return [
        (sample.name, sample.labels, repr(_float(sample.value)), None if sample.timestamp is None else _ms(sample.timestamp))
        for family in families
        for sample in family.samples
    ]


def _float(value: float) -> float:
    """prometheus_client keeps integers as they are, however large."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _ms(timestamp: object) -> int:
    return round(float(timestamp) * 1000)  # type: ignore[arg-type] # its own Timestamp turns into a float


def by_us(page: Page) -> Spelled:
    times = [None] * len(page.lines) if page.time_ms is None else page.time_ms.tolist()
    return [
        (line.name, dict(line.labels), repr(value), None if time == NO_TIME_MS else time)
        for line, value, time in zip(page.lines, page.values.tolist(), times, strict=True)
    ]


def with_total(line: Line) -> str:
    """The name that prometheus_client's text parser gives to a counter's line."""
    return line.name if line.kind != "counter" or line.name.endswith("_total") else f"{line.name}_total"


def without_total(samples: Spelled) -> Spelled:
    return [(name.removesuffix("_total"), *rest) for name, *rest in samples]  # type: ignore[misc]


def recorded_pages() -> list[Path]:
    return sorted(Path(os.environ.get("RECWATCH_DATA", "absent"), "dumps").glob("*.txt"))


needs_pages = pytest.mark.skipif(not recorded_pages(), reason="RECWATCH_DATA names no folder with dumps/*.txt")


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


names = st.from_regex(r"[a-z_:][a-z0-9_]{0,6}(_total|_bucket|_sum)?", fullmatch=True)
label_names = st.from_regex(r"[a-z][a-z0-9_]{0,3}", fullmatch=True)
label_values = st.text(st.sampled_from('ab ,="\\\n{}#é\t_1'), max_size=6)
values = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "infinity", "1e+010", "9223372036854775794", ".5", "5.", "+1"]),
)


@st.composite
def text_rows(draw: st.DrawFn) -> tuple[str, str]:
    """What stands before a row's value, and what stands after it."""
    labels = draw(st.dictionaries(label_names, label_values, max_size=3))
    quote = draw(st.sampled_from(['"', ""]))
    terms = [f'{quote}{name}{quote}="{escaped(value)}"' for name, value in labels.items()]
    name = draw(names)
    quoted = draw(st.integers(0, 3)) == 3
    if quoted:
        terms.insert(0, f'"{name}.é"')
    trailing_comma, braces_anyway = draw(st.booleans()), draw(st.booleans())
    inside = draw(st.sampled_from([",", ", ", " , "])).join(terms) + ("," if terms and trailing_comma else "")
    braces = "{" + inside + "}" + draw(st.sampled_from(["", " "]))
    stamp = draw(st.one_of(st.just(""), st.just(""), st.integers(-(2**41), 2**41).map(" {}".format)))
    return ("" if quoted else name) + (braces if terms or braces_anyway else " "), stamp


@st.composite
def comments(draw: st.DrawFn) -> str:
    name = draw(names)
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped"]))
    return draw(st.sampled_from([f"# TYPE {name} {kind}", f"# HELP {name} some (in %)", "# EOF", "#", "# a 1", "", "  "]))


@st.composite
def text_pages(draw: st.DrawFn) -> list[str]:
    """One page scraped three times: mostly the same rows with other values, now and then a row more, less, or moved."""
    layout = draw(st.lists(st.one_of(text_rows(), comments()), max_size=8))
    texts = []
    for _ in range(3):
        written = [
            part if isinstance(part, str) else f"{part[0]}{draw(values)}{part[1]}{draw(st.sampled_from(['', ' ', chr(13)]))}"
            for part in layout
        ]
        texts.append("".join(f"{row}\n" for row in [*written, "# end"]))
        change = draw(st.sampled_from(["none", "none", "more", "less", "moved"]))
        if change == "more":
            layout = [draw(text_rows()), *layout]
        elif change == "less":
            layout = layout[1:]
        elif change == "moved":
            layout = layout[::-1]
    return texts


@st.composite
def openmetrics_pages(draw: st.DrawFn) -> str:
    """A page of OpenMetrics that keeps every rule."""
    kinds = draw(st.lists(st.sampled_from(["counter", "gauge", "histogram", "summary", "info", "stateset", "unknown"])))
    families = [f"{draw(st.sampled_from(['a', 'b_seconds', 'c:d']))}{number}" for number in range(len(kinds))]
    rows = [row for family, kind in zip(families, kinds, strict=True) for row in draw(_family(family, kind))]
    return "".join(f"{row}\n" for row in [*rows, "# EOF"])


@st.composite
def _family(draw: st.DrawFn, name: str, kind: str) -> list[str]:
    stamp = draw(st.sampled_from(["", " 1700000000", " 1700000000.125", " 0.5", " -3"]))
    count, total = draw(st.integers(0, 2**53)), draw(st.floats(0, 1e300))
    label = f'x="{escaped(draw(label_values))}"'
    exemplar = draw(st.sampled_from(["", "", ' # {trace="a # {b}"} 0.5', " # {} -1 1700000000.5"]))
    rows = {
        "counter": [f"{name}_total{{{label}}} {total!r}{stamp}{exemplar}", f"{name}_created{{{label}}} 1.7e9{stamp}"],
        "gauge": [f"{name} {draw(values.filter(lambda word: abs(float(word)) != 1e400))}{stamp}"],
        "histogram": [
            f'{name}_bucket{{{label},le="0.5"}} {count // 2}{stamp}',
            f'{name}_bucket{{{label},le="+Inf"}} {count}{stamp}{exemplar}',
            f"{name}_count{{{label}}} {count}{stamp}",
            f"{name}_sum{{{label}}} {total!r}{stamp}",
        ],
        "summary": [f'{name}{{quantile="0.5"}} {total!r}{stamp}', f"{name}_count {count}{stamp}"],
        "info": [f"{name}_info{{{label}}} 1{stamp}"],
        "stateset": [f'{name}{{{label},{name}="on"}} 1{stamp}', f'{name}{{{label},{name}="off"}} 0{stamp}'],
        "unknown": [f"{name}{{}} {count}{stamp}"],
    }[kind]
    if kind == "stateset" and ":" in name:  # the name becomes a label's, where a colon is none of a name's characters
        rows = []
    unit = name.rpartition("_")[2] if "_" in name and kind not in ("info", "stateset") else ""
    return [f"# TYPE {name} {kind}", f"# HELP {name} What it \\n is.", *([f"# UNIT {name} {unit}"] if unit else []), *rows]
