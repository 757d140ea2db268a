"""What a coverage report says is not known: signals without a figure, and metrics of which none is made."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from collectors.coverage.words import NEEDS, Gap, State, Unplaced
from recwatch.app.blocks import note, table, title
from recwatch.core.canonical import SIGNALS
from recwatch.core.wording import clean, figure

_MOST_SIGNALS = 8
_MOST_METRICS = 40
_TITLES: Mapping[State, str] = {
    "undefined": "Undefined now, which is not 0",
    "missing": "Not on this page, though this kind of server can tell it",
    "never": "Not told by this kind of server",
    "elsewhere": "Told by other pages of a service",
}
_ABOUT: Mapping[str, str] = {"gpu": "GPUs", "host": "hosts"}


def gap_blocks(gaps: Iterable[Gap]) -> Iterator[RenderableType]:
    """What is not there, by state; signals of one reason in one row."""
    by_state: dict[State, dict[tuple[str, str], list[str]]] = {state: defaultdict(list) for state in _TITLES}
    for gap in gaps:
        if gap.state in by_state:
            by_state[gap.state][gap.why, gap.setting].append(gap.signal)
    for state, by_reason in by_state.items():
        if by_reason:
            yield title(_TITLES[state])
            yield _reasons(by_reason) if state != "never" else _flowing(by_reason)


def _reasons(by_reason: Mapping[tuple[str, str], Sequence[str]]) -> Table:
    reasons = table("signal", "why")
    for (why, setting), names in by_reason.items():
        remedy = Text.assemble(("\n→ ", "green"), (clean(setting), "green")) if setting else ""
        reasons.add_row("\n".join(_counted(names)), Text.assemble(clean(why), remedy))
    return reasons


def _flowing(by_reason: Mapping[tuple[str, str], Sequence[str]]) -> RenderableType:
    """The signals in running text, since they can be many."""
    told = (
        Text.assemble("\n", ", ".join(names if len(names) <= _MOST_METRICS else _counted(names)), (f": {clean(why)}", "dim"))
        for (why, _), names in by_reason.items()
    )
    return Padding(Group(*told), (0, 0, 0, 2))


def _counted(signals: Sequence[str]) -> Sequence[str]:
    """The signals; of very many how many are about what."""
    if len(signals) <= _MOST_SIGNALS:
        return signals
    about = Counter(_ABOUT.get(SIGNALS[name].group, "requests") for name in signals)
    return [f"{count} about {what}" for what, count in about.items()]


def unplaced_blocks(unplaced: Sequence[Unplaced]) -> Iterator[RenderableType]:
    """The metrics, or their first words where they are many, the most first; what is of no service in a note."""
    wanting = [one for one in unplaced if one.needed]
    if wanting:
        yield title(f"Metrics of which no signal is made: {len(wanting)}")
        yield _wanting(wanting)
        used = {need for one in wanting for need in one.needed}
        yield from (note(f"{need}: {NEEDS[need]}") for need in NEEDS if need in used)
    if others := len(unplaced) - len(wanting):
        yield note(f"Left out: {others} of the process itself, or information without a measurement; --json lists them.")


def _wanting(unplaced: Sequence[Unplaced]) -> Table:
    rows = table("metric", "type", "series", "certain", "needs", whole=(1, 2, 4), right=(2,))
    grouped = sorted(_grouped(unplaced).items(), key=lambda item: -len(item[1]))
    for name, of_name in grouped[:_MOST_METRICS]:
        alone = of_name[0] if len(of_name) == 1 else None
        rows.add_row(
            Text(clean(alone.name if alone else f"{name}… ({len(of_name)} metrics)")),
            "\n".join(dict.fromkeys(one.type for one in of_name)),
            str(sum(one.series for one in of_name)),
            _certain(alone) if alone else "",
            ", ".join(need for need in NEEDS if any(need in one.needed for one in of_name)),
        )
    if rest := [one for _, of_name in grouped[_MOST_METRICS:] for one in of_name]:
        rows.add_row(f"and {len(rest)} more: --json", "", str(sum(one.series for one in rest)), "", "")
    return rows


def _grouped(unplaced: Sequence[Unplaced]) -> Mapping[str, Sequence[Unplaced]]:
    """The metrics by name, or by the first words of it where they are many."""
    groups: dict[str, list[Unplaced]] = defaultdict(list)
    for one in unplaced:
        groups[one.name if len(unplaced) <= _MOST_METRICS else _beginning(one.name)].append(one)
    return groups


def _beginning(name: str) -> str:
    r"""The first two words of a name.

    >>> _beginning("node_zfs_arc_hits"), _beginning("vllm:lora_requests_info"), _beginning("up")
    ('node_zfs', 'vllm:lora', 'up')
    """
    ends = [match.start() for match in re.finditer(r"(?<=[^_:])[_:]", name)]
    return name if len(ends) < 2 else name[: ends[1]]


def _certain(one: Unplaced) -> str:
    told = {what: figure(value, one.unit if what != "count" else "") for what, value in one.certain.items()}
    return told.get("value") or ", ".join(f"{what} {value}" for what, value in told.items())
