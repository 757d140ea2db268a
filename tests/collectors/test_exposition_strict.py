"""A strict parser accepts and refuses what the standards do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.exposition import PageParser
from recwatch.core.errors import BadInput
from tests.collectors.exposition_pages import by_prometheus_client, by_us, openmetrics_pages

TEXT, OPENMETRICS = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"


def refusal(text: str | bytes, content_type: str) -> str:
    """Why a strict parser refuses the page; empty if it accepts it, and then a lenient one drops none of it."""
    try:
        page = PageParser(strict=True).parse(text, content_type)
    except BadInput as error:
        return str(error)
    assert page.dropped == {}
    return ""


HISTOGRAM = '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n \t\n",
        "a 1\n",
        "  a\t 1  -5 \n",
        "# a comment\n#\n# HELP\n#TYPE a gauge\na 1\n",
        '# HELP a b \\\\ c \\n \\"\n#  TYPE\ta  summary \na_sum 1\na_count 2\n',
        'a {b = "c" , d="e",}-Inf\n',
        "a{} NaN\nb 1e+010\nc .5\nd 5.\ne +infinity\n",
        '{"a.b","c d"="e"} 1\n{"f:g"} 2\n',
        '# TYPE "a.b" counter\n{"a.b"} 1\n',
        "# TYPE a gauge\n# TYPE b gauge\na 1\nb 1\n",
        HISTOGRAM,
        HISTOGRAM.replace("h_sum 3\nh_count 2\n", ""),
        'h_bucket{le="x"} 1\n',
        'a{b="1"} 1\na{b="2"} 1\n',
        'a{__reserved="b"} 1\n',
        f"a 1 {2**63 - 1}\n",
        "# EOF\na 1\n",
    ],
)
def test_text_format_allows(text: str) -> None:
    assert refusal(text, TEXT) == ""


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a 1\nb 2", 2, "no newline ends it"),
        ("a 1\r\n", 1, "whole timestamp"),
        ("0a 1\n", 1, "no name"),
        ("a\n", 1, "no number"),
        ("a 1_000\n", 1, "no number"),
        ("a 0x1p-2\n", 1, "no number"),
        ("a -nan\n", 1, "no number"),
        ("a 1e400\n", 1, "beyond floats"),
        ("a 1 2.5\n", 1, "whole timestamp"),
        ("a 1 2 3\n", 1, "timestamp"),
        (f"a 1 {2**63}\n", 1, "timestamp"),
        ('a{b="c"} 1 # {} 1\n', 1, "whole timestamp"),
        ('a{b="\\t"} 1\n', 1, "backslash"),
        ('{"a\\t"} 1\n', 1, "backslash"),
        ('a{b="c\nd"} 1\n', 1, "labels"),
        ('a{b:c="d"} 1\n', 1, "colon"),
        ('a{__name__="b"} 1\n', 1, "labels"),
        ('a{b="c",b="d"} 1\n', 1, "label twice"),
        ('a{b="c"d="e"} 1\n', 1, "labels"),
        (b'a{b="\xff"} 1\n', 1, "not UTF-8"),
        ("# HELP a b\n# HELP a c\n", 2, "second HELP"),
        ("# HELP a \\t\n", 1, "backslash"),
        ("# HELP a.b c\n", 1, "no metric name"),
        ("# TYPE a gauge\n# TYPE a gauge\n", 2, "second TYPE"),
        ("# TYPE a\n", 1, "a type is one of"),
        ("# TYPE a info\n", 1, "a type is one of"),
        ("# TYPE a Gauge\n", 1, "a type is one of"),
        ("a 1\n# TYPE a gauge\n", 2, "after samples"),
        ("a 1\n# HELP a b\n", 2, "after samples"),
        ('a{b="1"} 1\nc 1\na{b="2"} 1\n', 3, "stand between"),
        ("a 1\na 2\n", 2, "same name and labels"),
        ('a{b="c",d="e"} 1\na{d="e",b="c"} 1\n', 2, "same name and labels"),
        (HISTOGRAM.replace('h_bucket{le="+Inf"} 2\n', ""), 4, "no bucket"),
        (HISTOGRAM.replace("h_count 2", "h_count 3"), 5, "a count that is not"),
        (HISTOGRAM.replace('le="1"', 'le="x"'), 2, "'x' is no number"),
        (HISTOGRAM.replace('le="1"', 'le="+Inf"').replace('le="+Inf"} 2', 'le="1"} 2'), 5, "do not increase"),
        ('# TYPE s summary\ns{quantile="0.9"} 1\ns{quantile="0.5"} 1\n', 3, "do not increase"),
    ],
)
def test_text_format_refuses_and_we_quote_the_line(text: str | bytes, line: int, why: str) -> None:
    message = refusal(text, TEXT)
    row = (text if isinstance(text, str) else text.decode(errors="replace")).split("\n")[line - 1]
    assert why in message
    assert message.startswith(f"line {line} breaks the format: ")
    assert message.endswith(repr(row))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a 1\n",
        "# TYPE a gauge\n# HELP a \n# UNIT a \na NaN 1.5e3\n",
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\na_seconds_created 1.7e9\n",
        "# TYPE a counter\na_total 1 # {} 0.5\n",
        '# TYPE a counter\na_total{b="\\x\\"\\n"} 1 5 # {c="}"} 0.5 1.25\n',
        '# TYPE a histogram\na_bucket{le="0.5"} 0 # {} 0.25\na_bucket{le="+Inf"} 1\na_count 1\na_sum 2\n',
        '# TYPE a histogram\na_bucket{le="-1"} 0\na_bucket{le="+Inf"} 1\n',
        '# TYPE a gaugehistogram\na_bucket{le="-1.0"} 1\na_bucket{le="+Inf"} 1\na_gcount 1\na_gsum -1\n',
        '# TYPE a summary\na{quantile="0"} NaN\na{quantile="1.0"} 2\na_sum 0\na_count 0\n',
        '# TYPE a info\na_info{b="1"} 1 5\na_info{b="2"} 1 4\n',
        '# TYPE a stateset\na{a="on"} 1\na{a="off"} 0.0\n',
        "# TYPE a gauge\na 1 1\na 2 1\na 3 2\n",
        '# TYPE "a.b" gauge\n{"a.b","c d"="e"} 1\n',
        f"a {'0' * 40}1.2e-1\n",
    ],
)
def test_openmetrics_allows(text: str) -> None:
    assert refusal(f"{text}# EOF\n", OPENMETRICS) == ""
    assert refusal(f"{text}# EOF", OPENMETRICS) == ""


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("\na 1\n", 1, "empty"),
        ("a  1\n", 1, "one blank"),
        ("a 1 \n", 1, "one blank"),
        ("a 1\r\n", 1, "no number"),
        ("a{} 1#\n", 1, "no number"),
        ("a{}1\n", 1, "one blank"),
        ('a{b="c",} 1\n', 1, "one blank"),
        ('a{b="c", d="e"} 1\n', 1, "one blank"),
        ('a{b="c",b="d"} 1\n', 1, "label twice"),
        ("a 1 NaN\n", 1, "one blank"),
        ("a 0x1\n", 1, "no number"),
        ("a 1\n# comment\n", 2, "a comment is"),
        ("# HELP a\n", 1, "a comment is"),
        ("# TYPE a untyped\n", 1, "a type is one of"),
        ("# TYPE a gauge \n", 1, "a type is one of"),
        ("# TYPE a gauge\n# TYPE a gauge\n", 2, "second TYPE"),
        ("a 1\n# HELP a b\n", 2, "after samples"),
        ("# UNIT a seconds\n", 1, "ends in its unit"),
        ("# TYPE a_b info\n# UNIT a_b b\n", 2, "no unit"),
        ("# TYPE a counter\na 1\n", 3, "two metrics"),
        ("# TYPE a_created gauge\n# TYPE a counter\n", 3, "two metrics"),
        ("# TYPE a counter\na_total -1\n", 2, "not negative"),
        ("# TYPE a counter\na_total NaN\n", 2, "not NaN"),
        ("# TYPE a summary\na 1\n", 2, "no number"),
        ('# TYPE a summary\na{quantile="1.5"} 1\n', 2, "between 0 and 1"),
        ("# TYPE a summary\na_count 0.5\n", 2, "whole number"),
        ('# TYPE a info\na_info{b="c"} 2\n', 2, "of an info is 1"),
        ("# TYPE a stateset\na 1\n", 2, "a state has a label"),
        ("# TYPE a gauge\na 1 # {} 1\n", 2, "have exemplars"),
        (f'# TYPE a counter\na_total 1 # {{b="{"c" * 128}"}} 1\n', 2, "more than 128"),
        ('# TYPE a histogram\na_bucket{le="1"} 1 # {} 2\n', 2, "beyond its bucket"),
        ('# TYPE a histogram\na_bucket{le="+INF"} 1\n', 2, "written +Inf"),
        ('# TYPE a histogram\na_bucket{le="1"} 1\n', 3, "no bucket"),
        ('# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\n', 4, "decrease"),
        ('# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\na_sum 1\n', 5, "a count that is not"),
        ('# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\n', 4, "without the other"),
        ('# TYPE a histogram\na_bucket{le="-1"} 0\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n', 6, "does not go with"),
        ("a 1 2\na 1 1\n", 2, "before that of the row"),
        ("a 1\na 1 1\n", 2, "all have timestamps or none"),
        ("a 1\na 1\n", 2, "same name and labels"),
        ('# TYPE a gauge\na{b="1"} 1\na{b="2"} 1\na{b="1"} 1\n', 4, "stand between"),
        ("# EOF\na 1\n", 2, "after # EOF"),
    ],
)
def test_openmetrics_refuses_and_we_quote_the_line(text: str, line: int, why: str) -> None:
    body = f"{text}# EOF\n"
    message = refusal(body, OPENMETRICS)
    assert why in message
    assert message.startswith(f"line {line} breaks the format: ")
    assert message.endswith(repr(body.split("\n")[line - 1][:120]))


def test_openmetrics_without_its_end_is_refused() -> None:
    assert "no # EOF" in refusal("a 1\n", OPENMETRICS)


def test_a_time_too_large_for_64_bits_is_allowed_and_its_row_cannot_be_told() -> None:
    page = PageParser(strict=True).parse("a 1 12345678901234567890\nb 1 1\n# EOF\n", OPENMETRICS)
    assert (by_us(page), list(page.dropped)) == ([("b", {}, "1.0", 1000)], ["timestamp"])


@settings(deadline=None)
@given(openmetrics_pages(), st.data())
def test_what_prometheus_client_refuses_of_a_page_with_one_slip_is_refused(text: str, data: st.DataObject) -> None:
    assert refusal(text, OPENMETRICS) == ""
    at = data.draw(st.integers(0, len(text)))
    slip = data.draw(st.sampled_from(["", " ", "\n", '"', "\\", "{", "}", ",", "#", "1", "-", "a", "_", "\r"]))
    changed = text[:at] + slip + text[at + data.draw(st.integers(0, 2)) :]
    if not refusal(changed, OPENMETRICS):
        assert by_prometheus_client(changed, openmetrics=True) is not None
