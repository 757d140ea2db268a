"""The HTTP API: reads what recwatch knows, and changes state only by publishing what people say."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from recwatch.app.access import Guard
from recwatch.app.health import Health, health_routes
from recwatch.app.pages import page_routes
from recwatch.app.refusals import answer_failures
from recwatch.app.remote_write import WRITE_PATH, Receiving, write_routes
from recwatch.app.view import ApiView
from recwatch.client import MOST_SERIES, Bands, Columns, Explained, ServiceStatus, SignalStatus
from recwatch.core.event_json import E
from recwatch.core.events import Anomaly, Cause, Incident, IncidentState, Mark, MarkKind, Silence, event_id
from recwatch.core.proposals import Decision, Hold, Proposal, ProposalState
from recwatch.core.signals import Series
from recwatch.core.wording import duration

MOST_READINGS = 500_000
"""Of one answer."""
Words = Annotated[str, Field(min_length=1, max_length=500)]
SeriesIds = Annotated[list[Annotated[int, Field(ge=0, lt=2**64)]], Query(min_length=1, max_length=MOST_SERIES)]
Service = Annotated[str | None, Query()]
Since = Annotated[int | None, Query(ge=0, description="Unix time in milliseconds; earlier events are left out.")]


class Said(BaseModel):
    """Who says something."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Words


class Verdict(Said):
    """What a person says of a proposal."""

    why: str = Field("", max_length=500)


class NewMark(Said):
    """Something that was done; now, if no time is given."""

    service: str
    kind: MarkKind = "note"
    text: Words
    time_ms: int | None = Field(None, ge=0)


class NewSilence(Said):
    """From now on for `duration_s`, incidents with this cause (any, if null) are kept but not sent."""

    service: str
    cause: Cause | None = None
    duration_s: float = Field(gt=0, le=30 * 86400)
    why: str = Field("", max_length=500)


def create_api(view: ApiView, health: Health, token: str, receiving: Receiving | None = None) -> FastAPI:
    """The application. Writes need `token`; requests must name the loopback as their host.

    With `receiving`, a Prometheus that has the token of that may send what it scrapes.
    """
    api = FastAPI(title="recwatch", summary="What recwatch knows of your services.", docs_url=None, redoc_url=None)
    api.include_router(_signals(view))
    api.include_router(_events(view))
    api.include_router(_writes(view))
    if receiving is not None:
        api.include_router(write_routes(receiving.receiver))
    api.include_router(health_routes(health))
    api.include_router(page_routes(api))
    answer_failures(api)
    tokens = {WRITE_PATH: receiving.token} if receiving else {}
    api.add_middleware(Guard, token=token, tokens=tokens)
    return api


def _signals(view: ApiView) -> APIRouter:
    """Numbers, and what is thought of them."""
    routes = APIRouter(prefix="/api", tags=["signals"])

    @routes.get("/services", summary="Services, their targets and whether an incident is open")
    def services() -> tuple[ServiceStatus, ...]:
        return view.services()

    @routes.get("/signals", summary="Canonical signals of a service with their newest value and score")
    def signals(service: str) -> tuple[SignalStatus, ...]:
        _known_service(view, service)
        return view.signals(service)

    @routes.get("/samples", summary="Readings of series, optionally as means over steps")
    def samples(
        series_id: SeriesIds, start_ms: int, end_ms: int, step_s: Annotated[int | None, Query(gt=0)] = None
    ) -> dict[str, Columns]:
        _require_few(len(series_id), end_ms - start_ms, step_s or 1)
        return view.samples(series_id, start_ms, end_ms, step_s)

    @routes.get("/bands", summary="Readings of series beside the expected value, its bounds and the score")
    def bands(series_id: SeriesIds, start_ms: int, end_ms: int) -> dict[str, Bands]:
        _require_few(len(series_id), end_ms - start_ms)
        return {str(i): view.bands(_known_series(view, i), start_ms, end_ms) for i in series_id}

    @routes.get("/explain", summary="Why a series did, or did not, alarm, its last changes, and comparisons at equal load")
    def explain(series: str, service: Service = None) -> Explained:
        if service is not None:
            _known_service(view, service)
        return view.explain(service, series)

    @routes.get("/holds", summary="Why tuning proposes nothing just now")
    def holds() -> tuple[Hold, ...]:
        return view.holds()

    return routes


def _events(view: ApiView) -> APIRouter:
    """What happened, newest first."""
    routes = APIRouter(prefix="/api", tags=["events"])

    @routes.get("/incidents", summary="Incidents")
    def incidents(service: Service = None, state: IncidentState | None = None, since_ms: Since = None) -> list[Incident]:
        return [i for i in _events_of(view, Incident, service, since_ms) if state in (None, i.state)]

    @routes.get("/incidents/{incident_id}", summary="One incident")
    def incident(incident_id: str) -> Incident:
        return _known_event(view, Incident, incident_id)

    @routes.get("/proposals", summary="Proposals and what became of them")
    def proposals(service: Service = None, state: ProposalState | None = None, since_ms: Since = None) -> list[Proposal]:
        return [p for p in _events_of(view, Proposal, service, since_ms) if state in (None, p.state)]

    @routes.get("/proposals/{proposal_id}", summary="One proposal")
    def proposal(proposal_id: str) -> Proposal:
        return _known_event(view, Proposal, proposal_id)

    @routes.get("/anomalies", summary="Stretches of series that a method calls abnormal")
    def anomalies(service: Service = None, since_ms: Since = None) -> list[Anomaly]:
        return _events_of(view, Anomaly, service, since_ms)

    @routes.get("/marks", summary="Deploys, knob changes, restarts and notes")
    def marks(service: Service = None, since_ms: Since = None) -> list[Mark]:
        return _events_of(view, Mark, service, since_ms)

    @routes.get("/silences", summary="Silences")
    def silences(service: Service = None, since_ms: Since = None) -> list[Silence]:
        return _events_of(view, Silence, service, since_ms)

    return routes


def _writes(view: ApiView) -> APIRouter:
    """What people say. It is published; whoever it concerns acts on it a moment later."""
    routes = APIRouter(prefix="/api", tags=["writes"])

    @routes.post("/proposals/{proposal_id}/{verdict}", status_code=202, summary="Approve or reject a proposal")
    def decide(proposal_id: str, verdict: Annotated[Literal["approve", "reject"], Path()], body: Verdict) -> Decision:
        proposal = _known_event(view, Proposal, proposal_id)
        if proposal.state != "proposed":
            raise HTTPException(409, f"Proposal {proposal_id} is {proposal.state}; only a proposed one can be decided.")
        decision = Decision.of(proposal, verdict, view.clock.now_ms(), body.by, body.why)
        view.bus.publish("decisions", decision.service, decision)
        return decision

    @routes.post("/marks", status_code=202, summary="Say that something was done")
    def mark(body: NewMark) -> Mark:
        _known_service(view, body.service)
        time_ms = view.clock.now_ms() if body.time_ms is None else body.time_ms
        mark = Mark.of(body.service, body.kind, time_ms, body.text, body.by)
        view.bus.publish("marks", mark.service, mark)
        return mark

    @routes.post("/silences", status_code=202, summary="Keep incidents without sending them, for a while")
    def silence(body: NewSilence) -> Silence:
        _known_service(view, body.service)
        now_ms = view.clock.now_ms()
        end_ms = now_ms + round(body.duration_s * 1000)
        silence = Silence(
            id=event_id("silence", body.service, body.cause, now_ms, body.by),
            service=body.service,
            cause=body.cause,
            start_ms=now_ms,
            end_ms=end_ms,
            by=body.by,
            why=body.why,
        )
        view.bus.publish("silences", silence.service, silence)
        return silence

    @routes.post("/silences/{silence_id}/end", status_code=202, summary="End a silence now")
    def end(silence_id: str, body: Said) -> Silence:
        silence = _known_event(view, Silence, silence_id)
        now_ms = view.clock.now_ms()
        if silence.end_ms <= now_ms:
            raise HTTPException(409, f"Silence {silence_id} is over already.")
        why = f"{silence.why}; ended by {body.by}".removeprefix("; ")
        ended = replace(silence, end_ms=now_ms, why=why)
        view.bus.publish("silences", ended.service, ended)
        return ended

    return routes


def _require_few(series: int, span_ms: int, step_s: int = 1) -> None:
    """Refuse what would take the process's memory, taking it that series are read once a second."""
    if series * span_ms / (1000 * step_s) > MOST_READINGS:
        raise HTTPException(
            400,
            f"{series} series over {duration(span_ms)} have too many readings for one answer; ask for fewer, for a shorter "
            "time, or for the means of longer steps with step_s.",
        )


def _known_service(view: ApiView, service: str) -> None:
    if not view.knows(service):
        names = ", ".join(s.name for s in view.services()) or "none yet"
        raise HTTPException(404, f"No service is called '{service}'; there are: {names}.")


def _events_of(view: ApiView, kind: type[E], service: str | None, since_ms: int | None) -> list[E]:
    """Events; a service that is watched no more may have some, one that never was is a slip of the pen."""
    found = view.events(kind, service, since_ms)
    if service is not None and not found:
        _known_service(view, service)
    return found


def _known_series(view: ApiView, series_id: int) -> Series:
    series = view.series(series_id)
    if series is None:
        raise HTTPException(404, f"No series has the id {series_id}; /api/signals lists those of a service.")
    return series


def _known_event(view: ApiView, kind: type[E], wanted: str) -> E:
    event = view.event(kind, wanted)
    if event is None:
        raise HTTPException(404, f"No {kind.__name__.lower()} has the id '{wanted}'.")
    return event
