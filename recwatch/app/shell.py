"""What an SRE does from a shell, over the API: look at incidents and proposals, explain, approve, silence, mark."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from recwatch.client import Client
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Cause, Incident
from recwatch.core.proposals import Proposal
from recwatch.core.wording import clean, figure, local, spoken_cause

app = typer.Typer()

UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="RECWATCH_URL", help="Where recwatch's API answers, whatever the configuration says."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The configuration that names the API's port and the token's file; recwatch.yaml where there is one.",
    ),
]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", envvar="RECWATCH_TOKEN_FILE", help="The token that `recwatch up` wrote.")
]
ServiceOption = Annotated[str | None, typer.Option("--service", help="Of this service only.")]
WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the ledger.")]

CONFIG = Path("recwatch.yaml")


@app.command()
def incidents(url: UrlOption = None, config: ConfigOption = None, service: ServiceOption = None) -> None:
    """List incidents, newest first: id, state, severity and when, and below what it is about."""
    with _asking(url, config) as client:
        found = client.incidents(service)
    for incident in found:
        _entry((incident.id, incident.state, incident.severity, _when(incident)), incident.title)
    _none(found, "No incidents.")


@app.command()
def incident(incident_id: str, url: UrlOption = None, config: ConfigOption = None) -> None:
    """Show one incident whole: causes with their evidence, when what moved, marks near it, history."""
    with _asking(url, config) as client:
        Console(emoji=False).print(incident_text(client.incident(incident_id)))


@app.command()
def explain(series: str, url: UrlOption = None, config: ConfigOption = None, service: ServiceOption = None) -> None:
    """Say why a series did or did not alarm, when its level last changed, and how a latency compares at equal load.

    SERIES is a signal's name or a whole key.
    """
    with _asking(url, config) as client:
        explained = client.explain(service, series)
    details = "\n".join(map(clean, explained.details))
    Console(emoji=False).print(Text.assemble((clean(explained.series), "bold"), f": {clean(explained.verdict)}\n", details))


@app.command()
def proposals(url: UrlOption = None, config: ConfigOption = None, service: ServiceOption = None) -> None:
    """List proposals, newest first: id, state, service and change, and below what it promises and why."""
    with _asking(url, config) as client:
        found = client.proposals(service)
    for proposal in found:
        change = f"{proposal.knob} {proposal.from_value} → {proposal.to_value}"
        _entry((proposal.id, proposal.state, proposal.service, change), _promise(proposal), proposal.reason)
    _none(found, "No proposals.")


@app.command()
def approve(
    proposal_id: str, why: WhyOption = "", url: UrlOption = None, config: ConfigOption = None, token_file: TokenOption = None
) -> None:
    """Approve a proposal: recwatch applies it, measures, and rolls back what does not help."""
    with _writing(url, config, token_file) as client:
        client.decide(proposal_id, "approve", getpass.getuser(), why)
    _say(f"Approved {proposal_id}.")


@app.command()
def reject(
    proposal_id: str, why: WhyOption = "", url: UrlOption = None, config: ConfigOption = None, token_file: TokenOption = None
) -> None:
    """Reject a proposal."""
    with _writing(url, config, token_file) as client:
        client.decide(proposal_id, "reject", getpass.getuser(), why)
    _say(f"Rejected {proposal_id}.")


@app.command()
def silence(
    service: str,
    minutes: Annotated[float, typer.Option(min=1, help="For how long.")] = 60,
    cause: Annotated[Cause | None, typer.Option(help="Of this cause only.")] = None,
    why: WhyOption = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """Keep a service's incidents, but do not send them, for a while."""
    with _writing(url, config, token_file) as client:
        made = client.silence(service, cause, minutes * 60, getpass.getuser(), why)
    said = f"{service} is silenced until {_clock(made.end_ms)}. To end it: recwatch unsilence {made.id}"
    _say(said)


@app.command()
def unsilence(silence_id: str, url: UrlOption = None, config: ConfigOption = None, token_file: TokenOption = None) -> None:
    """End a silence now; `recwatch silence` said its id."""
    with _writing(url, config, token_file) as client:
        ended = client.unsilence(silence_id, getpass.getuser())
    _say(f"{ended.service} is no longer silenced by {ended.id}.")


@app.command()
def mark(
    service: str,
    text: str,
    kind: Annotated[Literal["deploy", "restart", "note"], typer.Option(help="What it was.")] = "note",
    url: UrlOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """Tell recwatch that something was done to a service."""
    with _writing(url, config, token_file) as client:
        made = client.mark(service, kind, text, getpass.getuser())
    _say(f"Marked {service} at {_clock(made.time_ms)}.")


def incident_text(incident: Incident) -> Text:
    """One incident as a person reads it."""
    lines: list[str | tuple[str, str]] = [
        (f"{clean(incident.title)}\n", "bold"),
        f"{incident.state}, {incident.severity}, {_when(incident)}\n",
    ]
    for cause in incident.causes:
        lines.append((f"\n{spoken_cause(cause.cause)}, {figure(cause.confidence, 'ratio')} sure\n", "bold"))
        lines.extend(f"  {clean(evidence.text)}\n" for evidence in cause.evidence)
    if incident.shifts:
        lines.append(("\nshift\n", "bold"))
        lines.extend(f"  {clean(shift.text)}\n" for shift in incident.shifts)
    lines.append(("\nhistory\n", "bold"))
    lines.extend(
        f"  {_clock(step.time_ms)} {clean(step.state)} by {clean(step.by)}: {clean(step.why)}\n" for step in incident.history
    )
    lines.extend(f"  {_clock(m.time_ms)} {m.kind}: {clean(m.text)} ({clean(m.by)})\n" for m in incident.marks)
    return Text.assemble(*lines)


def _when(incident: Incident) -> str:
    if incident.end_ms is None:
        return f"since {_clock(incident.start_ms)}"
    return f"{_clock(incident.start_ms)} to {_clock(incident.end_ms)}"


def _promise(proposal: Proposal) -> str:
    predicted = proposal.predicted.p99_ms
    measured = "" if proposal.measured_p99_ms is None else f", measured {proposal.measured_p99_ms:.0f} ms"
    return f"p99 predicted {predicted.mid:.0f} ms ({predicted.low:.0f} to {predicted.high:.0f}){measured}"


class _Place(NamedTuple):
    """Where the API is, empty where each start chooses a port, and where the token lies that writing needs."""

    url: str
    token_file: Path


def _configured(file: Path | None) -> _Place:
    """What the configuration says; what holds by default where none is given and none lies here."""
    if file is None and not CONFIG.exists():
        return _Place("http://127.0.0.1:8300", Path(".recwatch/token"))
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy

    config = load_config(file or CONFIG)
    return _Place(f"http://127.0.0.1:{config.api.port}" if config.api.port else "", config.token_file)


@contextmanager
def _asking(url: str | None, config: Path | None, token: str | None = None) -> Iterator[Client]:
    """A client of the API at `url`, or else of the configured one; a person whom it does not answer is told of both ways."""
    place = url or _configured(config).url
    if not place:
        raise BadInput(f"{config or CONFIG} lets each start choose a port (api.port: 0). Give --url; the start said it.")
    with closing(Client(place, token)) as client:
        try:
            yield client
        except Unavailable as error:
            raise Unavailable(
                f"{error} To ask another, give --url, or --config with the file that it was started with."
            ) from error


def _writing(url: str | None, config: Path | None, token_file: Path | None) -> AbstractContextManager[Client]:
    file = token_file or _configured(config).token_file
    try:
        return _asking(url, config, file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadInput(
            f"The token file {file} cannot be read ({reason}). Give --token-file, or --config with the file that recwatch "
            "was started with."
        ) from error


def _say(said: str | Text) -> None:
    """Print as it is; ids are not cut however narrow the terminal."""
    Console(soft_wrap=True, emoji=False, markup=False, highlight=False).print(said)


def _entry(head: tuple[str, ...], *below: str) -> None:
    """One line that begins with an id; then what there is to read, indented."""
    id_, *others = map(clean, head)
    _say(Text.assemble((id_, "bold"), *(f"  {other}" for other in others)))
    for text in below:
        Console(emoji=False).print(Padding(Text(clean(text)), (0, 0, 0, 4), expand=False))


def _none(found: Sequence[object], sentence: str) -> None:
    if not found:
        _say(sentence)


def _clock(time_ms: int) -> str:
    return local(time_ms, datetime.now().astimezone().date())
