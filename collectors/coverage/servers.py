"""Which server wrote a page, and of which version, as far as the page tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from collectors.coverage.words import Server
from collectors.exposition import Line
from collectors.measures import Measure
from collectors.normalise.rules import Table

_INFO = ("_build_info", "_version_info", "_info")
_ON_INFO = ("version", "redis_version", "exporter_version", "git_version", "vllm_version")
_ON_ANY = ("DCGM_FI_DRIVER_VERSION", "Version")
_OF_OTHERS = ("python", "go", "process", "jvm", "target")


Rows = Sequence[tuple[Line, tuple[Measure, ...]]]
"""The lines of a page, and what each measures."""


def servers(rows: Rows, tables: Mapping[str, Table]) -> tuple[Server, ...]:
    """The kinds in their order, each with what made it known, and the spans of versions to which its names belong."""
    names = tuple(dict.fromkeys(line.name for line, _ in rows))
    return tuple(
        Server(kind, next(filter(table.recognises, names), ""), tuple(_spans(rows, table))) for kind, table in tables.items()
    )


def versions(lines: Sequence[Line]) -> tuple[str, ...]:
    """What the page itself says of versions, and where."""
    return tuple(dict.fromkeys(_told_versions(lines)))


def _told_versions(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        if line.name.endswith(_INFO) and not line.name.startswith(_OF_OTHERS):
            yield from (f"{line.labels[label]} ({line.name})" for label in _ON_INFO if line.labels.get(label))
        yield from (f"{line.labels[label]} (label {label})" for label in _ON_ANY if line.labels.get(label))


def _spans(rows: Rows, table: Table) -> Iterator[str]:
    """The spans of versions that have names which count on this page, each with one of these names."""
    counted: dict[str, list[tuple[Line, frozenset[str]]]] = defaultdict(list)
    for line, measures in rows:
        counted[line.name.removesuffix("_total")].append((line, frozenset(measure.quantity for measure in measures)))
    said = set()
    for rule in table.rules:
        used = [
            line.name
            for name in rule.names
            for line, quantities in counted.get(name.removesuffix("_total"), ())
            if quantities & set(rule.quantities) and rule.admits(line)
        ]
        if rule.versions and used and rule.versions not in said:
            said.add(rule.versions)
            yield f"{rule.versions}, since it has {used[0]}"
