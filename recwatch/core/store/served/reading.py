"""What a user that may only read may ask of the embedded engine: decided on the engine's own parse of the query.

What is not known to be harmless is refused, so that what a newer engine learns to do is closed until somebody opens it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

# The engine's own categories of functions that work on their arguments alone, and functions of other categories that do.
CATEGORIES = """
    Aggregate Functions|Arithmetic|Arrays|Bit|Bitmap|Comparison|Conditional|Dates and Times|Distance|Encoding|Financial|Hash
    |IP Address|JSON|Logical|Map|Mathematical|Null|Random Number|Rounding|String|String Replacement|String Search
    |String Splitting|Time Series|Time Window|Tuple|Type Conversion|URL|UUID
"""
OTHERS = """
    bar caseWithExpression currentDatabase currentUser displayName finalizeAggregation formatReadableDecimalSize
    formatReadableQuantity formatReadableSize formatReadableTimeDelta hostName identity ignore isConstant materialize
    revision rowNumberInAllBlocks runningDifference toColumnTypeName toTypeName transform uptime version visibleWidth
"""
TABLE_FUNCTIONS = "generate_series generateSeries numbers values"
NODES = """
    ArrayJoin Asterisk ColumnsApplyTransformer ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher
    ColumnsReplaceTransformer ColumnsReplaceTransformerReplacement ColumnsTransformerList ExpressionList Function Identifier
    InterpolateElement Literal OrderByElement QualifiedAsterisk QueryParameter SelectIntersectExceptQuery SelectQuery
    SelectWithUnionQuery ShowColumnsQuery ShowTablesQuery Subquery TableExpression TableIdentifier TableJoin
    TablesInSelectQuery TablesInSelectQueryElement WindowDefinition WindowListElement WithElement
"""
HARMLESS_CATEGORIES = frozenset(category.strip() for category in CATEGORIES.split("|"))
HARMLESS_OTHERS, HARMLESS_NODES = frozenset(OTHERS.split()), frozenset(NODES.split())
HARMLESS_TABLE_FUNCTIONS = frozenset(TABLE_FUNCTIONS.split())
_NAME = r"""(?:[A-Za-z_]\w*|`\w+`|"\w+")"""
_SHOWS = re.compile(
    rf"\s*(?:DESC|DESCRIBE|EXISTS|SHOW\s+CREATE)(?:\s+TABLE)?\s+{_NAME}(?:\s*\.\s*{_NAME})?(?:\s+FORMAT\s+\w+)?[\s;]*",
    re.IGNORECASE | re.ASCII,
)


def shows_only(sql: str) -> bool:
    r"""Whether this asks what a table is like: such queries have no parse to look at.

    >>> shows_only("DESCRIBE TABLE `default`.`samples`\n FORMAT Native"), shows_only("DESCRIBE TABLE file('/etc/passwd')")
    (True, False)
    """
    return _SHOWS.fullmatch(sql) is not None


def harmful_functions(functions: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    """The lower-case names of functions not known to be harmless; of each its name, what it is an alias of, its category.

    >>> sorted(harmful_functions([("file", "", "Other"), ("lower", "", "String"), ("lcase", "lower", ""), ("AI", "ai", "")]))
    ['ai', 'file']
    """
    known = list(functions)
    categories = {name: category for name, _, category in known}
    return frozenset(
        name.lower()
        for name, alias_of, _ in known
        if categories.get(alias_of or name) not in HARMLESS_CATEGORIES and (alias_of or name) not in HARMLESS_OTHERS
    )


def refusal(parsed: object, harmful: Collection[str]) -> str | None:
    """Why a query is not answered, or None. `parsed` is what the engine's parseQueryToJSON makes of it.

    >>> refusal({"type": "SelectQuery", "select": {"type": "Function", "name": "File"}}, {"file"})
    'File() is not open to this user'
    """
    return next(_reasons(parsed, harmful), None)


def _reasons(node: object, harmful: Collection[str]) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _reasons(child, harmful)
    elif isinstance(node, Mapping) and node.get("type") != "Literal":
        yield from _of_node(node, harmful)
        for child in node.values():
            yield from _reasons(child, harmful)


def _of_node(node: Mapping[str, object], harmful: Collection[str]) -> Iterator[str]:
    if node.get("type", "Literal") not in HARMLESS_NODES:
        yield f"this user may only read ({node['type']})"
    if "out_file" in node:
        yield "INTO OUTFILE is not open to this user"
    for function in (node.get("func_name"), node.get("name") if node.get("type") == "Function" else None):
        if function is not None and str(function).lower() in harmful:
            yield f"{function}() is not open to this user"
    table_function = node.get("table_function")
    if isinstance(table_function, Mapping) and table_function.get("name") not in HARMLESS_TABLE_FUNCTIONS:
        yield f"the table function {table_function.get('name')}() is not open to this user"
