import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collectors.exposition import Dropped, Line, Page, PageParser

Spelled = list[tuple[str, dict[str, str], str, str]]


def by_prometheus_client(text: str) -> Spelled:
    return [
        (sample.name, sample.labels, family.type.replace("unknown", "untyped"), repr(float(sample.value)))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def by_us(page: Page) -> Spelled:
    return [
        (as_prometheus_client_names(line), dict(line.labels), line.kind, repr(value))
        for line, value in zip(page.lines, page.values.tolist(), strict=True)
    ]


def as_prometheus_client_names(line: Line) -> str:
    return line.name if line.kind != "counter" or line.name.endswith("_total") else line.name + "_total"


def recorded_pages() -> list[Path]:
    return sorted(Path(os.environ.get("RECWATCH_DATA", "absent"), "dumps").glob("*.txt"))


needs_pages = pytest.mark.skipif(not recorded_pages(), reason="RECWATCH_DATA names no folder with dumps/*.txt")


@needs_pages
@pytest.mark.parametrize("path", recorded_pages(), ids=lambda path: path.stem)
def test_recorded_pages_say_what_prometheus_client_says(path: Path) -> None:
    text = path.read_text()
    parser = PageParser()
    first = by_us(parser.parse(text))
    again = by_us(parser.parse(text))
    assert first == again
    assert without_kind(first) == without_kind(by_prometheus_client(text))
    assert first


names = st.from_regex(r"[a-z_:][a-z0-9_]{0,6}(_total|_bucket|_sum)?", fullmatch=True)
label_names = st.from_regex(r"[a-df-z][a-z0-9_]{0,3}", fullmatch=True)
label_values = st.text(st.sampled_from('ab ,="\\\n{}#é\t_1'), max_size=6)
values = st.one_of(
    st.floats().map(repr), st.integers().map(str), st.sampled_from(["NaN", "+Inf", "-Inf", "1e+010", "9223372036854775794"])
)
gaps = st.sampled_from([" ", "  ", "\t", " \t "])
timestamps = st.one_of(st.just(""), st.just(""), st.integers(0, 2**41).map(lambda stamp: f" {stamp}"))


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@st.composite
def rows(draw: st.DrawFn) -> tuple[str, str]:
    """What stands before a row's value, and what stands after it."""
    labels = draw(st.dictionaries(label_names, label_values, max_size=3))
    inside = draw(st.sampled_from([",", ", "])).join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    braces = "{" + inside + draw(st.sampled_from(["", ","] if labels else [""])) + "}"
    with_braces = labels != {} or draw(st.booleans())
    return draw(names) + (braces if with_braces else ""), draw(timestamps)


@st.composite
def comments(draw: st.DrawFn) -> str:
    name = draw(names)
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped"]))
    return draw(st.sampled_from([f"# TYPE {name} {kind}", f"# HELP {name} some (in %)", "# EOF", "#", "", "  "]))


@st.composite
def pages(draw: st.DrawFn) -> list[str]:
    """One page scraped three times: mostly the same rows with other values, now and then a row more, less, or moved."""
    layout = draw(st.lists(st.one_of(rows(), comments()), max_size=8))
    texts = []
    for _ in range(3):
        written = [
            part
            if isinstance(part, str)
            else f"{part[0]}{draw(gaps)}{draw(values)}{part[1]}{draw(st.sampled_from(['', ' ', chr(13)]))}"
            for part in layout
        ]
        texts.append("\n".join(written) + "\n")
        change = draw(st.sampled_from(["none", "none", "more", "less", "moved"]))
        if change == "more":
            layout = [*layout, draw(rows())]
        elif change == "less":
            layout = layout[1:]
        elif change == "moved":
            layout = layout[::-1]
    return texts


def without_kind(spelled: Spelled) -> Spelled:
    return [(name.removesuffix("_total"), labels, "", value) for name, labels, _, value in spelled]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pages())
def test_generated_pages_say_what_prometheus_client_says_in_every_scrape(texts: list[str]) -> None:
    parser = PageParser()
    for text in texts:
        assert without_kind(by_us(parser.parse(text))) == without_kind(by_prometheus_client(text))


def test_a_changed_type_is_noticed_though_the_rows_are_the_same() -> None:
    parser = PageParser()
    assert parser.parse("# TYPE a gauge\na 1\n").lines[0].kind == "gauge"
    assert parser.parse("# TYPE a counter\na 1\n").lines[0].kind == "counter"


def test_a_row_whose_value_cannot_be_read_is_dropped_and_the_rest_is_kept() -> None:
    parser = PageParser()
    parser.parse("a 1\nb 1\n")
    for row in ("a 1_000", "a one", "a"):
        page = parser.parse(f"{row}\nb 3\n")
        assert (page.values.tolist(), page.dropped) == ([3.0], {"value": Dropped(1, row)})
    assert parser.parse("a 2\nb 3\n").values.tolist() == [2.0, 3.0]


def test_a_row_with_a_timestamp_gives_its_value_every_time() -> None:
    parser = PageParser()
    for _ in range(3):
        page = parser.parse("a 5 1700000000000\nb 6\n")
        assert page.values.tolist() == [5.0, 6.0]


def test_a_number_beyond_floats_is_infinite() -> None:
    assert PageParser().parse("a " + "9" * 400 + "\n").values.tolist() == [np.inf]
