"""The comments of a page → which type its families have, and of which kind a sample is by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from collectors.exposition.row import NAME, QUOTED, Unreadable, unescaped
from recwatch.core.signals import Kind

_KINDS: Mapping[str, Kind] = {
    "gauge": "gauge",
    "counter": "counter",
    "histogram": "histogram",
    "summary": "summary",
    "untyped": "untyped",
    "unknown": "untyped",
    "info": "gauge",
    "stateset": "gauge",
    "gaugehistogram": "gauge",
}
_SUFFIXES = {
    "total": ("counter",),
    "bucket": ("histogram", "gaugehistogram"),
    "sum": ("histogram", "summary"),
    "count": ("histogram", "summary"),
    "created": ("counter", "histogram", "summary"),
    "gsum": ("gaugehistogram",),
    "gcount": ("gaugehistogram",),
    "info": ("info",),
}
_SUFFIXED_ONLY = ("histogram", "gaugehistogram")

_TYPE = re.compile(r"[ \t]*+#[ \t]*+TYPE(?:[ \t]++(.*+))?")
_OF = re.compile(rf"(?:({NAME})|({QUOTED}))[ \t]++([a-zA-Z]++)[ \t]*+")


def stated_type(comment: str) -> Mapping[str, str]:
    """The type of a family, if the comment states one. Raises Unreadable.

    >>> stated_type("# TYPE hits counter"), stated_type("# HELP hits How many.")
    ({'hits': 'counter'}, {})
    """
    statement = _TYPE.fullmatch(comment)
    if statement is None:
        return {}
    of = _OF.fullmatch(statement.group(1) or "")
    if of is None or of.group(3).lower() not in _KINDS:
        raise Unreadable("type")
    return {of.group(1) or unescaped(of.group(2)[1:-1]): of.group(3).lower()}


class KindOf(dict[str, Kind]):
    """The kind of the samples of a name, where `types` are the families' types.

    A type holds for its family's rows wherever on the page they stand.

    >>> kind_of = KindOf({"rpc_seconds": "histogram", "hits": "counter"})
    >>> kind_of["rpc_seconds_bucket"], kind_of["hits_total"], kind_of["hits_created"]
    ('histogram', 'counter', 'gauge')
    >>> kind_of["rpc_seconds"], kind_of["depth"]
    ('untyped', 'untyped')
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        super().__init__()
        self._types = types

    def __missing__(self, name: str) -> Kind:
        self[name] = kind = self._kind(name)
        return kind

    def _kind(self, name: str) -> Kind:
        stated = self._types.get(name)
        if stated is not None:
            return "untyped" if stated in _SUFFIXED_ONLY else _KINDS[stated]
        family, _, suffix = name.rpartition("_")
        stated = self._types.get(family)
        if stated is None or stated not in _SUFFIXES.get(suffix, ()):
            return "untyped"
        return "gauge" if suffix == "created" else _KINDS[stated]
