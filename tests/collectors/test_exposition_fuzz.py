"""Whatever a page holds: no exception but the documented one, no hang, no memory beyond a multiple of the page."""

import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.exposition import PageParser
from recwatch.core.errors import BadInput
from tests.collectors.exposition_pages import by_us, openmetrics_pages, text_pages

LENGTH = 2**17
bounded = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
content_types = st.sampled_from([None, "text/plain", "application/openmetrics-text", "", "; ;"])
characters = st.sampled_from('ab_ ,="\\\n{}#\t\r\x00\x0b\x85é\ud8001.e+-NTYPEOF')
known_pages = st.one_of(text_pages().map(lambda texts: texts[0]), openmetrics_pages())


def read(parser: PageParser, body: str | bytes, content_type: str | None) -> None:
    try:
        page = parser.parse(body, content_type)
    except BadInput:
        return
    assert len(page.lines) == len(page.values)
    assert page.time_ms is None or len(page.time_ms) == len(page.values)
    assert repr(by_us(page)) == repr(by_us(parser.parse(body, content_type)))


@bounded
@given(known_pages, st.binary(max_size=60), content_types, st.booleans())
def test_any_bytes(known: str, body: bytes, content_type: str | None, strict: bool) -> None:
    parser = PageParser(strict=strict)
    read(parser, known, None)
    read(parser, body, content_type)


@bounded
@given(
    st.lists(st.text(st.sampled_from('ab_ ,="\\\n{}#\t\r\x00\x0b\x85é\ud8001.e+-NTYPEOF'), max_size=40), max_size=3),
    content_types,
)
def test_any_text_of_the_characters_that_matter(texts: list[str], content_type: str | None) -> None:
    parser, strict = PageParser(), PageParser(strict=True)
    for text in texts:
        read(parser, text, content_type)
        read(strict, text, content_type)


@bounded
@given(known_pages, st.data(), content_types)
def test_pages_with_slips(text: str, data: st.DataObject, content_type: str | None) -> None:
    parser, body = PageParser(), text.encode()
    for _ in range(3):
        read(parser, body, content_type)
        at = data.draw(st.integers(0, len(body)))
        body = body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 3)) :]


@bounded
@given(st.text(st.sampled_from("+-.0159eEinfatyNIF_x()\t"), max_size=8), st.booleans())
def test_a_number_is_one_for_a_known_row_exactly_if_it_is_one_for_a_new_row(word: str, stamped: bool) -> None:
    """The two are read by different code."""
    row = f"a 1 {word}\nb 1\n" if stamped else f"a {word}\nb 1\n"
    known = PageParser()
    known.parse("a 1 5\nb 1\n" if stamped else "a 1\nb 1\n")
    assert repr(by_us(known.parse(row))) == repr(by_us(PageParser().parse(row)))


PATHOLOGICAL = {
    "quotes": b'a{b="' + b'"' * LENGTH + b"} 1\n",
    "backslashes": b'a{b="' + b"\\" * LENGTH + b'"} 1\n',
    "escaped quotes": b'a{b="' + b'\\"' * (LENGTH // 2) + b"} 1\n",
    "one long value": b'a{b="' + b"x" * LENGTH + b'"} 1\n',
    "a label without end": b'a{b="' + b"x" * LENGTH + b"\n",
    "many labels": b"a{" + b",".join(b'l%d="v"' % number for number in range(LENGTH // 10)) + b"} 1\n",
    "many labels and a slip": b"a{" + b",".join(b'l%d="v"' % number for number in range(LENGTH // 10)) + b"; } 1\n",
    "one label again and again": b"a{" + b'l="v",' * (LENGTH // 6) + b"} 1\n",
    "braces": b"a" + b"{" * LENGTH + b" 1\n",
    "commas": b"a{" + b"," * LENGTH + b"} 1\n",
    "blanks": b"a" + b" " * LENGTH + b"1" + b" " * LENGTH + b"x\n",
    "blank rows": b"\n" * LENGTH,
    "hashes": b"a 1 " + b"#" * LENGTH + b"\n",
    "exemplars": b"a 1" + b" # {} 1" * (LENGTH // 7) + b"\n",
    "digits": b"a " + b"9" * LENGTH + b"\n",
    "a long name": b"a" * LENGTH + b"! 1\n",
    "a long comment": b"# TYPE " + b"a" * LENGTH + b" gauge gauge\n",
    "unreadable rows": b"a x\n" * (LENGTH // 4),
    "odd rows": b"a 1 \n" * (LENGTH // 5),
    "equal rows": b"a 1\n" * (LENGTH // 4),
}
"""Each takes minutes where time grows with the square of the length."""


@pytest.mark.parametrize("name", PATHOLOGICAL)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_time_and_memory_grow_no_faster_than_the_page(name: str, strict: bool) -> None:
    body = PATHOLOGICAL[name]
    parser = PageParser(strict=strict)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    for _ in range(2):
        read(parser, body + b"b 1\n", None)
    peak = tracemalloc.get_traced_memory()[1] + pool.max_memory() - before
    tracemalloc.stop()
    assert peak < 400 * len(body)
