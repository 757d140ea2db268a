"""What a page says, against prometheus_client's parsers, and where we differ from them on purpose."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collectors.exposition import NO_TIME_MS, Dropped, PageParser
from recwatch.core.errors import BadInput
from tests.collectors.exposition_pages import (
    Spelled,
    by_prometheus_client,
    by_us,
    needs_pages,
    openmetrics_pages,
    recorded_pages,
    text_pages,
    without_total,
)

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
bounded = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(text: str | bytes, content_type: str | None = "text/plain") -> Spelled:
    """The samples of a page of which no row may be dropped."""
    page = PageParser().parse(text, content_type)
    assert page.dropped == {}
    return by_us(page)


@needs_pages
@pytest.mark.parametrize("path", recorded_pages(), ids=lambda path: path.stem)
def test_recorded_pages_say_what_prometheus_client_says(path: Path) -> None:
    text = path.read_text()
    parser = PageParser()
    first, again = parser.parse(text), parser.parse(text)
    assert by_us(first) == by_us(again)
    assert without_total(by_us(first)) == without_total(by_prometheus_client(text))
    assert by_us(first)
    assert first.dropped == again.dropped == {}


@bounded
@given(text_pages())
def test_generated_pages_say_what_prometheus_client_says_in_every_scrape(texts: list[str]) -> None:
    parser = PageParser()
    for text in texts:
        page = parser.parse(text, "text/plain")
        assert without_total(by_us(page)) == without_total(by_prometheus_client(text))
        assert by_us(page) == read(text)  # what was there before leaves no trace
        assert [line.kind for line in page.lines] == [line.kind for line in PageParser().parse(text, "text/plain").lines]


@bounded
@given(openmetrics_pages(), openmetrics_pages())
def test_generated_openmetrics_says_what_prometheus_client_says_in_every_scrape(first: str, second: str) -> None:
    parser = PageParser()
    for text in (first, first, second):
        page = parser.parse(text, OPENMETRICS)
        assert by_us(page) == by_prometheus_client(text, openmetrics=True)
        assert page.dropped == {}


adversarial = st.lists(
    st.sampled_from(
        [
            "a",
            "b_total",
            "{",
            "}",
            '"',
            "=",
            ",",
            " ",
            "\t",
            "\\",
            '\\"',
            "#",
            " # ",
            "1",
            "1e3",
            "NaN",
            "é",
            "_",
            ":",
            'a="b"',
            '{a="b"}',
        ]
    ),
    max_size=12,
).map("".join)


@settings(deadline=None, max_examples=500)
@given(adversarial)
def test_no_row_is_read_that_prometheus_client_refuses_or_reads_otherwise(row: str) -> None:
    page = PageParser().parse(f"{row}\nb 2\n", "text/plain")
    for name, labels, value, _ in by_us(page)[:-1]:
        reading = row.partition(" # ")[0]
        assert [(name, labels, value)] == [(n, ls, v) for n, ls, v, _ in by_prometheus_client(f"{reading}\n")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a 1 2 3", "timestamp"),
        ('a{,b="c"} 1', "labels"),
        ('{__name__="b"} 1', "labels"),
        ("a 1 NaN", "timestamp"),
        ("a 1 9223372036854775808", "timestamp"),
        ("a \N{ARABIC-INDIC DIGIT ONE}", "value"),
    ],
)
def test_prometheus_client_reads_rows_that_no_standard_allows_and_we_drop(row: str, reason: str) -> None:
    assert [family.samples for family in text_string_to_metric_families(f"{row}\n")]
    assert PageParser().parse(f"{row}\nb 2\n").dropped == {reason: Dropped(1, row)}


def test_reserved_labels_are_read_though_prometheus_client_refuses_them_since_a_reading_is_worth_more() -> None:
    with pytest.raises(ValueError, match="labels"):
        by_prometheus_client('a{__x="b"} 1\n')
    assert read('a{__x="b"} 1\n') == [("a", {"__x": "b"}, "1.0", None)]


def test_counters_keep_their_names_though_prometheus_client_appends_total() -> None:
    text = "# TYPE a counter\na 1\n"
    assert (read(text)[0][0], by_prometheus_client(text)[0][0]) == ("a", "a_total")


def test_an_exemplar_on_a_page_of_text_format_is_passed_over_though_prometheus_client_takes_its_end_for_a_timestamp() -> (
    None
):
    text = 'a_bucket{le="1"} 5 # {trace="x"} 0.5\n'
    assert read(text)[0][3] is None
    assert by_prometheus_client(text)[0][3] is not None


def test_an_exemplar_may_hold_an_escaped_quote_though_prometheus_client_stumbles_over_it() -> None:
    text = '# TYPE a counter\na_total 1 # {b="\\""} 1\n# EOF\n'
    with pytest.raises(ValueError, match="Invalid line"):
        by_prometheus_client(text, openmetrics=True)
    assert read(text, OPENMETRICS) == [("a_total", {}, "1.0", None)]


def test_rows_of_one_series_at_one_time_are_all_kept_though_prometheus_client_keeps_the_first() -> None:
    text = "# TYPE a gauge\na 1 0\na 2 0\n# EOF\n"
    assert [value for _, _, value, _ in read(text, OPENMETRICS)] == ["1.0", "2.0"]
    assert [value for _, _, value, _ in by_prometheus_client(text, openmetrics=True)] == ["1.0"]


def test_a_type_holds_for_rows_anywhere_on_the_page_though_for_prometheus_client_only_right_after_it() -> None:
    text = '# TYPE a gauge\n# TYPE h histogram\na 1\nh_bucket{le="1"} 1\na{b="c"} 2\n# TYPE d counter\nd_total 1\n'
    assert [line.kind for line in PageParser().parse(text).lines] == ["gauge", "histogram", "gauge", "counter"]


@pytest.mark.parametrize(
    ("typed", "name", "kind"),
    [
        ("counter", "x", "counter"),
        ("counter", "x_total", "counter"),
        ("counter", "x_created", "gauge"),
        ("histogram", "x_bucket", "histogram"),
        ("histogram", "x_sum", "histogram"),
        ("histogram", "x", "untyped"),
        ("summary", "x", "summary"),
        ("summary", "x_count", "summary"),
        ("summary", "x_bucket", "untyped"),
        ("info", "x_info", "gauge"),
        ("stateset", "x", "gauge"),
        ("gaugehistogram", "x_bucket", "gauge"),
        ("gaugehistogram", "x_gsum", "gauge"),
        ("unknown", "x", "untyped"),
        ("untyped", "x", "untyped"),
        ("gauge", "x_total", "untyped"),
        ("GAUGE", "x", "gauge"),
    ],
)
def test_types_of_either_format_become_kinds(typed: str, name: str, kind: str) -> None:
    assert PageParser().parse(f"# TYPE x {typed}\n{name} 1\n").lines[0].kind == kind


def test_the_last_of_several_types_counts() -> None:
    assert PageParser().parse("# TYPE a gauge\na 1\n# TYPE a counter\n").lines[0].kind == "counter"


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ('{"http.requests","host.name"="a"} 1\n', [("http.requests", {"host.name": "a"}, "1.0", None)]),
        ('{a="b","http.requests"} 1\n', [("http.requests", {"a": "b"}, "1.0", None)]),
        ('a{b="\\n\\\\\\"\\x"} 1\n', [("a", {"b": '\n\\"\\x'}, "1.0", None)]),
        ('a {b = "c" , d="} # {" , }-Inf\n', [("a", {"b": "c", "d": "} # {"}, "-inf", None)]),
        ("a{} 1 1700000000123\n", [("a", {}, "1.0", 1700000000123)]),
        ("a\t1\t-5\n", [("a", {}, "1.0", -5)]),
        ("\n\n  a 1 \n \t\n", [("a", {}, "1.0", None)]),
        ('a{b=""} 1e+010\r\n', [("a", {"b": ""}, "10000000000.0", None)]),
        ("a 1", [("a", {}, "1.0", None)]),
        (f"a {'9' * 5000}\n", [("a", {}, "inf", None)]),
        ("", []),
        ("# TYPE a gauge\n# HELP a b", []),
    ],
)
def test_rows_that_are_unusual_and_right_are_read(text: str, samples: Spelled) -> None:
    parser = PageParser()
    for _ in range(2):
        page = parser.parse(text)
        assert (by_us(page), page.dropped) == (samples, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'a{b="\xff"} 1', "encoding"),
        (b"0a 1", "name"),
        (b"a.b 1", "name"),
        (b'{a="b"} 1', "name"),
        (b'{"a","b"} 1', "name"),
        (b'{""} 1', "name"),
        (b"1", "name"),
        (b'a{b="c 1', "labels"),
        (b'a{b="c} 1', "labels"),
        (b"a{b=c} 1", "labels"),
        (b'a{b="c"d="e"} 1', "labels"),
        (b'a{b="c",,d="e"} 1', "labels"),
        (b'a{b="c"', "labels"),
        (b'a{b="c",b="d"} 1', "duplicate_label"),
        (b'a{b="c", b="d"} 1 5', "duplicate_label"),
        (b"a", "value"),
        (b"a{}", "value"),
        (b"a one", "value"),
        (b"a 1_000", "value"),
        (b"a 0x1p3", "value"),
        (b"a nan(b)", "value"),
        (b"a 1 z", "timestamp"),
        (b"a 1 Inf", "timestamp"),
        (b"a 1 # {", "exemplar"),
        (b"a 1 # {} ", "exemplar"),
        (b"# TYPE a", "type"),
        (b"# TYPE a flag", "type"),
        (b"# TYPE a.b gauge", "type"),
        (b"# TYPE a \xff", "encoding"),
    ],
)
def test_a_row_that_cannot_be_read_is_dropped_for_a_reason_and_the_rest_is_kept(row: bytes, reason: str) -> None:
    parser = PageParser()
    parser.parse("a 1\nb 1\n")
    for value in (2.0, 3.0):
        page = parser.parse(row + f"\nb {value}\n".encode())
        assert page.values.tolist() == [value]
        assert page.dropped == {reason: Dropped(1, row.decode(errors="replace"))}
    assert parser.parse("a 2\nb 3\n").dropped == {}


def test_dropped_rows_are_counted_by_reason_and_the_first_of_each_is_shown_cut_short() -> None:
    page = PageParser().parse("a x\nb 1\nc y\nd.e 1\nf{" + "é" * 500 + "\n")
    assert page.dropped == {"value": Dropped(2, "a x"), "name": Dropped(1, "d.e 1"), "labels": Dropped(1, "f{" + "é" * 118)}


@pytest.mark.parametrize(
    "body", ['{"status": "ok"}\n', "<html>\n<body></body>\n", "a\n", b"\x1f\x8b\x08\x00\n", "x" * 5000 + "\n"]
)
def test_what_is_no_exposition_text_is_refused(body: str | bytes) -> None:
    with pytest.raises(BadInput, match="is no exposition text"):
        PageParser().parse(body)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('a 1\nb{c="d', None),
        ("a 1\nb", None),
        ("a 1\n# TYPE b cou", None),
        ("a 1\nb 2\n", OPENMETRICS),
        ("a 1\n# EO", OPENMETRICS),
        ("", OPENMETRICS),
    ],
)
def test_a_page_that_is_cut_off_is_refused_and_the_series_stay_known(body: str, content_type: str | None) -> None:
    parser = PageParser()
    whole = "a 1\nb 2\n# EOF\n" if content_type else "a 1\nb 2\n"
    page = parser.parse(whole, content_type)
    with pytest.raises(BadInput, match="the page is cut off"):
        parser.parse(body, content_type)
    assert parser.parse(whole, content_type).lines is page.lines


@pytest.mark.parametrize(
    ("text", "content_type", "time_ms"),
    [
        ("a 1 1700000000.5\n# EOF\n", OPENMETRICS, 1700000000500),
        ("a 1 1700000000.5\n# EOF", None, 1700000000500),
        ("a 1 1700000000\n# EOF\n", "Application/OpenMetrics-Text", 1700000000000),
        ("a 1 1700000000\n# EOF\n", "text/plain; version=0.0.4", 1700000000),
        ("a 1 1700000000\n# EOF\nb 1 5\n", None, 1700000000),
    ],
)
def test_the_content_type_or_without_one_the_end_tells_the_format(text: str, content_type: str | None, time_ms: int) -> None:
    times = PageParser().parse(text, content_type).time_ms
    assert times is not None
    assert times[0] == time_ms


def test_rows_without_a_timestamp_are_marked_among_rows_with_one() -> None:
    parser = PageParser()
    for stamp in (5, 2**53 + 1, -7):  # the second is beyond what a float holds exactly
        page = parser.parse(f"a 1\nb 2 {stamp}\n")
        assert page.time_ms is not None
        assert page.time_ms.tolist() == [NO_TIME_MS, stamp]
    assert parser.parse("a 1\nb 2\n").time_ms is None


def test_a_byte_order_mark_costs_its_row_and_no_other() -> None:
    assert PageParser().parse("\ufeffa 1\nb 2\n").values.tolist() == [2.0]


def test_equal_words_of_a_page_are_one_object() -> None:
    lines = PageParser().parse('a{zone="eu-1"} 1\na{zone="eu-1",pod="x y"} 2\n').lines
    assert lines[0].name is lines[1].name
    assert lines[0].labels["zone"] is lines[1].labels["zone"]
    assert next(iter(lines[0].labels)) is next(iter(lines[1].labels))


def test_values_are_float64_and_numbers_are_read_to_the_last_bit() -> None:
    values = PageParser().parse("a 0.1\nb 9007199254740993\nc 2.2250738585072011e-308\nd -0\n").values
    assert values.dtype == np.float64
    assert [repr(value) for value in values.tolist()] == ["0.1", "9007199254740992.0", "2.225073858507201e-308", "-0.0"]
