"""What an SRE does from a shell, over the API: look at incidents and proposals, explain, approve, silence, mark."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recwatch.client import Client
from recwatch.core.errors import BadInput
from recwatch.core.events import Cause, Incident, Proposal

app = typer.Typer()

UrlOption = Annotated[str, typer.Option("--url", envvar="RECWATCH_URL", help="Where recwatch's API answers.")]
TokenOption = Annotated[
    Path, typer.Option("--token-file", envvar="RECWATCH_TOKEN_FILE", help="The token that `recwatch up` wrote.")
]
ServiceOption = Annotated[str | None, typer.Option("--service", help="Of this service only.")]
WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the ledger.")]

URL = "http://127.0.0.1:8300"
TOKEN_FILE = Path(".recwatch/token")


@app.command()
def incidents(url: UrlOption = URL, service: ServiceOption = None) -> None:
    """List incidents, newest first."""
    table = Table("id", "state", "since", "service", "cause", "what")
    for incident in Client(url).incidents(service):
        cells = (incident.id, incident.state, _clock(incident.start_ms), incident.service, incident.cause, incident.title)
        table.add_row(*map(Text, cells))
    _show(table, "No incidents.")


@app.command()
def incident(incident_id: str, url: UrlOption = URL) -> None:
    """Show one incident whole: causes with their evidence, marks near it, history."""
    Console().print(incident_text(Client(url).incident(incident_id)))


@app.command()
def explain(series: str, url: UrlOption = URL, service: ServiceOption = None) -> None:
    """Say why a series did or did not alarm. SERIES is a signal's name or a whole key."""
    client = Client(url)
    known = [status.name for status in client.services()]
    if service is None and len(known) != 1:
        raise BadInput(f"Which service? Give --service, one of: {', '.join(known) or 'none is known yet'}.")
    explained = client.explain(service or known[0], series)
    Console().print(Text.assemble((explained.series, "bold"), f": {explained.verdict}\n", "\n".join(explained.details)))


@app.command()
def proposals(url: UrlOption = URL, service: ServiceOption = None) -> None:
    """List proposals, newest first."""
    table = Table("id", "state", "service", "change", "p99 predicted", "p99 measured", "why")
    for proposal in Client(url).proposals(service):
        table.add_row(*map(Text, _proposal_cells(proposal)))
    _show(table, "No proposals.")


@app.command()
def approve(proposal_id: str, why: WhyOption = "", url: UrlOption = URL, token_file: TokenOption = TOKEN_FILE) -> None:
    """Approve a proposal: recwatch applies it, measures, and rolls back what does not help."""
    _writer(url, token_file).decide(proposal_id, "approve", getpass.getuser(), why)
    Console().print(f"Approved {proposal_id}.", markup=False, highlight=False)


@app.command()
def reject(proposal_id: str, why: WhyOption = "", url: UrlOption = URL, token_file: TokenOption = TOKEN_FILE) -> None:
    """Reject a proposal."""
    _writer(url, token_file).decide(proposal_id, "reject", getpass.getuser(), why)
    Console().print(f"Rejected {proposal_id}.", markup=False, highlight=False)


@app.command()
def silence(
    service: str,
    minutes: Annotated[float, typer.Option(min=1, help="For how long.")] = 60,
    cause: Annotated[Cause | None, typer.Option(help="Of this cause only.")] = None,
    why: WhyOption = "",
    url: UrlOption = URL,
    token_file: TokenOption = TOKEN_FILE,
) -> None:
    """Keep a service's incidents, but do not send them, for a while."""
    made = _writer(url, token_file).silence(service, cause, minutes * 60, getpass.getuser(), why)
    Console().print(f"{service} is silenced until {_clock(made.end_ms)}.", markup=False, highlight=False)


@app.command()
def mark(service: str, text: str, url: UrlOption = URL, token_file: TokenOption = TOKEN_FILE) -> None:
    """Tell recwatch that something was done to a service."""
    made = _writer(url, token_file).mark(service, "note", text, getpass.getuser())
    Console().print(f"Marked {service} at {_clock(made.time_ms)}.", markup=False, highlight=False)


def incident_text(incident: Incident) -> Text:
    """One incident as a person reads it."""
    lines: list[str | tuple[str, str]] = [
        (f"{incident.title}\n", "bold"),
        f"{incident.state} since {_clock(incident.start_ms)}, {incident.severity}\n",
    ]
    for cause in incident.causes:
        lines.append((f"\n{cause.cause} ({cause.confidence:.0%})\n", "bold"))
        lines.extend(f"  {evidence.text}\n" for evidence in cause.evidence)
    lines.append(("\nhistory\n", "bold"))
    lines.extend(f"  {_clock(step.time_ms)} {step.state}: {step.why}\n" for step in incident.history)
    lines.extend(f"  {_clock(mark.time_ms)} {mark.kind}: {mark.text} ({mark.by})\n" for mark in incident.marks)
    return Text.assemble(*lines)


def _proposal_cells(proposal: Proposal) -> tuple[str, ...]:
    predicted = proposal.predicted.p99_ms
    measured = "" if proposal.measured_p99_ms is None else f"{proposal.measured_p99_ms:.0f} ms"
    return (
        proposal.id,
        proposal.state,
        proposal.service,
        f"{proposal.knob} {proposal.from_value} → {proposal.to_value}",
        f"{predicted.mid:.0f} ms ({predicted.low:.0f} to {predicted.high:.0f})",
        measured,
        proposal.reason,
    )


def _writer(url: str, token_file: Path) -> Client:
    try:
        return Client(url, token_file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise BadInput(f"The token file {token_file} cannot be read ({error.strerror}). Give --token-file.") from error


def _show(table: Table, when_empty: str) -> None:
    Console().print(table if table.row_count else when_empty)


def _clock(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")
