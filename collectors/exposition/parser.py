"""The pages of one target, scraped again and again → their lines and values."""

from __future__ import annotations

from collectors.exposition.columns import rows_of
from collectors.exposition.learning import learn, nothing_known
from collectors.exposition.page import Page
from collectors.exposition.repeated import Changed, read_again, spelled_as_known
from collectors.exposition.strict import check
from collectors.exposition.strict_openmetrics import OpenMetricsRules
from collectors.exposition.strict_text import TextRules
from recwatch.core.errors import BadInput

OPENMETRICS = "application/openmetrics-text"


class PageParser:
    r"""Reads the pages of one target, in text format or OpenMetrics.

    A row that cannot be read is dropped and counted; the rest of the page is kept. A strict parser refuses the page instead,
    and any other that its format's standard refuses. What was on the page before costs little: see `repeated`.

    >>> parser = PageParser()
    >>> page = parser.parse('# TYPE hits counter\nhits{cache="a"} 7\nhits{cache=b} 1\n')
    >>> page.lines[0].name, page.lines[0].kind, page.values
    ('hits', 'counter', array([7.]))
    >>> page.dropped
    {'labels': Dropped(rows=1, example='hits{cache=b} 1')}
    >>> parser.parse('# TYPE hits counter\nhits{cache="a"} 8\nhits{cache=b} 1\n').lines is page.lines
    True
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._known = nothing_known(openmetrics=False)

    def parse(self, text: str | bytes, content_type: str | None = None) -> Page:
        """The page's lines and values.

        It is read as OpenMetrics if the content type says so or, without one, if it ends in `# EOF`. Raises BadInput where
        the page is cut off or is no exposition text and, if strict, where it is not all that its format's standard demands.
        """
        body = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        ended = body[-16:].rstrip().rpartition(b"\n")[2] == b"# EOF"
        openmetrics = ended if content_type is None else _media_type(content_type) == OPENMETRICS
        if self._strict:
            check(body, OpenMetricsRules() if openmetrics else TextRules())
        if openmetrics and not ended:
            raise BadInput("the page is cut off: OpenMetrics ends in '# EOF', and this does not; scrape it again")
        return self._parse(body.replace(b"\r\n", b"\n") if b"\r" in body else body, openmetrics=openmetrics)

    def _parse(self, body: bytes, *, openmetrics: bool) -> Page:
        whole = body.endswith(b"\n") or not body
        rows = rows_of(body if whole else body + b"\n")
        if self._known.openmetrics != openmetrics:
            self._known = nothing_known(openmetrics=openmetrics)
        same = spelled_as_known(rows, self._known)
        try:
            if whole and len(same) and same.all():
                return read_again(rows, self._known)
        except Changed:
            pass
        self._known, page = learn(rows, self._known, same, whole=whole)
        return page


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
