"""What the demo tells: the story's lines as they come, and the figures it ends in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recwatch.core.events import Incident
from recwatch.core.proposals import Proposal


@dataclass(frozen=True, slots=True)
class Latencies:
    """99th percentile of request latency in milliseconds, from the recommender's own histogram."""

    before: float | None
    fault: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the story found. Times `_after_s` are seconds from the fault's start; unused ones are None."""

    fault: str
    fault_started_at: str
    detected_after_s: float | None
    message_after_s: float | None
    incident: Mapping[str, object] | None
    proposal: Mapping[str, object] | None
    applied_after_s: float | None
    recovered_after_s: float | None
    p99_ms: Latencies


@dataclass(frozen=True, slots=True)
class Counts:
    """Samples that the collectors published, those of them that the store took, and messages that notifiers accepted."""

    samples_scraped: int
    samples_stored: int
    alerts_sent: int


def incident_figures(incident: Incident | None) -> Mapping[str, object] | None:
    """Cause, series and evidence of an incident."""
    if incident is None:
        return None
    return {
        "cause": incident.cause.value,
        "series": sorted({anomaly.series for anomaly in incident.anomalies}),
        "evidence": [evidence.text for evidence in incident.causes[0].evidence],
    }


def proposal_figures(proposal: Proposal | None) -> Mapping[str, object] | None:
    """The change and its predicted 99th percentile, in milliseconds."""
    if proposal is None:
        return None
    return {
        "knob": proposal.knob,
        "from": proposal.from_value,
        "to": proposal.to_value,
        "predicted_p99_ms": round(proposal.predicted.p99_ms.mid, 1),
    }


def write_report(report: Report, counts: Counts, path: Path) -> None:
    """Write the figures as JSON, for `recwatch demo --json`."""
    figures = asdict(report) | asdict(counts)
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class Teller:
    """Tells the story line by line, each with the seconds since the fault or since the start."""

    def __init__(self, out: Console) -> None:
        self.out = out

    def say(self, since_s: float, text: str, style: str = "") -> None:
        """One line of the story."""
        self.out.print(Text.assemble((f"{since_s:7.1f} s  ", "dim"), (text, style)), soft_wrap=True)

    def more(self, text: str) -> None:
        """A line that belongs to the one before."""
        self.out.print(Text.assemble("           ", (text, "dim")), soft_wrap=True)

    def summary(self, report: Report, counts: Counts, addresses: Mapping[str, str]) -> None:
        """The table at the end."""
        self.out.print()
        self.out.print(_latency_table(report))
        self.out.print(_facts(report, counts))
        for name, address in addresses.items():
            self.out.print(Text.assemble((f"  {name:<12}", "dim"), address), soft_wrap=True)


def _latency_table(report: Report) -> Table:
    table = Table("", "before", "fault", "after", title=f"The story of one {report.fault}", title_justify="left")
    p99 = report.p99_ms
    table.add_row("p99 latency", *(_shown(value, "ms") for value in (p99.before, p99.fault, p99.after)))
    return table


def _facts(report: Report, counts: Counts) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {
        "cause": str(report.incident["cause"]) if report.incident else "none named",
        "detected after": _shown(report.detected_after_s, "s"),
        "message after": _shown(report.message_after_s, "s"),
        "change": "none proposed" if report.proposal is None else "{knob} {from} → {to}".format(**report.proposal),
        "predicted p99": "-" if report.proposal is None else f"{report.proposal['predicted_p99_ms']} ms",
        "applied after": _shown(report.applied_after_s, "s"),
        "recovered after": _shown(report.recovered_after_s, "s"),
        "samples": f"{counts.samples_scraped} scraped, {counts.samples_stored} stored",
        "messages sent": str(counts.alerts_sent),
    }
    for name, value in rows.items():
        table.add_row(Text(f"  {name}", style="dim"), Text(value))
    return table


def _shown(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:,.1f} {unit}"
