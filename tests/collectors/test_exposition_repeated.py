"""A page scraped again and again: what stays the same object, and what a change does."""

import pytest

from collectors.exposition import Line, PageParser

PAGE = '# TYPE a counter\na{b="c"} 1\na{b="d"} 2\n# TYPE e gauge\ne 3\n'
OPENMETRICS = '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 2\na_count 2\na_sum 0.5\n# EOF\n'


@pytest.mark.parametrize(
    ("again", "values"),
    [
        ('# TYPE a counter\na{b="c"} 10\na{b="d"} 2e3\n# TYPE e gauge\ne NaN\n', ["10.0", "2000.0", "nan"]),
        ('# TYPE a counter\na{b="c"} 1 5\na{b="d"} 2\n# TYPE e gauge\ne 3\n', ["1.0", "2.0", "3.0"]),
        ('# HELP a new\n# TYPE a counter\n\na{b="c"} 1\na{b="d"} 2\n# TYPE e gauge\ne 3\n', ["1.0", "2.0", "3.0"]),
        ('# TYPE a counter\r\na{b="c"} 1\r\na{b="d"} 2\r\n# TYPE e gauge\r\ne 4\r\n', ["1.0", "2.0", "4.0"]),
        ('# TYPE a counter\na{b="c"} 1\na{b="d"} 2 # {t="x"} 1\n# TYPE e gauge\ne 3\n', ["1.0", "2.0", "3.0"]),
        ('# TYPE a counter\na {b="c", } 1\na{b="d"}2\n# TYPE e gauge\ne\t3 \n', ["1.0", "2.0", "3.0"]),
    ],
)
def test_the_lines_are_the_same_object_whatever_else_changes(again: str, values: list[str]) -> None:
    parser = PageParser()
    lines = parser.parse(PAGE).lines
    page = parser.parse(again)
    assert page.lines is lines
    assert [repr(value) for value in page.values.tolist()] == values
    assert parser.parse(PAGE).lines is lines


def test_exemplars_that_come_and_go_change_no_line() -> None:
    parser = PageParser()
    lines = parser.parse(OPENMETRICS).lines
    for exemplar in (' # {t="x"} 0.5', ' # {t="y"} 0.25 1700000000', "", ' # {t="}"} 1'):
        page = parser.parse(OPENMETRICS.replace('le="1"} 1', f'le="1"}} 7{exemplar}'))
        assert page.lines is lines
        assert page.values.tolist() == [7.0, 2.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("again", "kept"),
    [
        ('# TYPE a counter\na{b="c"} 1\na{b="x"} 1\na{b="d"} 2\n# TYPE e gauge\ne 3\n', [0, None, 1, 2]),
        ('# TYPE a counter\na{b="d"} 2\n# TYPE e gauge\ne 3\n', [1, 2]),
        ('# TYPE e gauge\ne 3\n# TYPE a counter\na{b="d"} 2\na{b="c"} 1\n', [2, 1, 0]),
        ('# TYPE a gauge\na{b="c"} 1\na{b="d"} 2\n# TYPE e gauge\ne 3\n', [None, None, 2]),
        ('# TYPE a counter\na{b="c"} 1\na{b="d"} 2\n# TYPE e gauge\n# TYPE f gauge\nf 1\ne 3\n', [0, 1, None, 2]),
        ('# TYPE a counter\na{b="c"} 1\na{b="d"} broken\n# TYPE e gauge\ne 3\n', [0, 2]),
    ],
)
def test_lines_that_did_not_change_stay_the_same_objects(again: str, kept: list[int | None]) -> None:
    parser = PageParser()
    before = parser.parse(PAGE).lines
    after = parser.parse(again).lines
    assert [before.index(line) if line in before else None for line in after] == kept
    assert [spelled(line) for line in after] == [spelled(line) for line in PageParser().parse(again).lines]


def spelled(line: Line) -> tuple[str, dict[str, str], str]:
    return line.name, dict(line.labels), line.kind


def test_a_known_row_is_not_taken_for_one_with_a_timestamp() -> None:
    parser = PageParser()
    parser.parse("a 1\n")
    page = parser.parse("a 1 2\n")
    assert page.time_ms is not None
    assert (page.values.tolist(), page.time_ms.tolist()) == ([1.0], [2])


def test_a_known_page_is_read_anew_in_the_other_format() -> None:
    parser = PageParser()
    for content_type, time_ms in (("text/plain", 5), ("application/openmetrics-text", 5000), ("text/plain", 5)):
        page = parser.parse("a 1 5\n# EOF\n", content_type)
        assert page.time_ms is not None
        assert page.time_ms.tolist() == [time_ms]


def test_a_page_that_becomes_empty_has_no_lines() -> None:
    parser = PageParser()
    parser.parse(PAGE)
    for text in ("", "\n", "# nothing\n"):
        assert parser.parse(text).lines == ()
    assert len(parser.parse(PAGE).lines) == 3
