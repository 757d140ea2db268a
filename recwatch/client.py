"""The typed client of the API, shared by the console and the command line, and the shapes of the API's own answers.

Events (incidents, proposals, ...) travel as the words of `recwatch.core.event_json`; ids of series are strings, because JSON
numbers do not hold 64 bits everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Anomaly, Cause, Incident, IncidentState, Mark, MarkKind, Silence
from recwatch.core.objective import Objective
from recwatch.core.proposals import Decision, Hold, Proposal, ProposalState

ServiceState = Literal["incident", "stale", "unmeasured", "warming_up", "healthy"]
MOST_SERIES = 200
"""Of one question for readings; who wants more asks several."""
T = TypeVar("T")
_TYPES: dict[Any, TypeAdapter[Any]] = {}


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One scraped page: whether it answers, when it last did, and what was wrong.

    `up` is None where no collector has told of it lately.
    """

    service: str
    url: str
    job: str
    up: bool | None
    last_scrape_ms: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service at a glance: the worst that holds of it, and the newest sample times of all its signals and of its traffic.

    It is `stale` when nothing is known of its traffic any more, `unmeasured` when its objective cannot be judged,
    `warming_up` while methods still learn what is usual. `unmeasured` has the reason for each such signal of the objective.
    A newest sample that is older than `stale_after_ms` tells nothing of now.
    """

    name: str
    state: ServiceState
    targets: tuple[TargetStatus, ...]
    signals: int
    open_incidents: int
    last_ms: int | None
    traffic_ms: int | None
    stale_after_ms: int
    objective: Objective | None
    unmeasured: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignalStatus:
    """A canonical signal of a service with its newest value, and the highest score any method gives it (1 = alarms)."""

    series_id: str
    key: str
    name: str
    labels: Mapping[str, str]
    unit: str
    help: str
    user_facing: bool
    last_value: float | None
    last_ms: int | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Columns:
    """One series as columns of equal length."""

    time_ms: list[int]
    value: list[float]


@dataclass(frozen=True, slots=True)
class Bands:
    """One series beside what was expected of it; None where a detector abstained."""

    time_ms: list[int]
    value: list[float]
    expected: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    score: list[float | None]


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a series did, or did not, alarm: a verdict, its figures, changes of its level and comparisons, in words."""

    series: str
    verdict: str
    details: tuple[str, ...]


class Client:
    """Asks the API at `url`. Raises Unavailable when it cannot be reached or fails, BadInput when it refuses the request."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 5.0) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def services(self) -> tuple[ServiceStatus, ...]:
        return self._get(tuple[ServiceStatus, ...], "/api/services")

    def signals(self, service: str) -> tuple[SignalStatus, ...]:
        return self._get(tuple[SignalStatus, ...], "/api/signals", service=service)

    def samples(
        self, series_ids: Sequence[str], start_ms: int, end_ms: int, step_s: int | None = None
    ) -> dict[str, Columns]:
        """Readings per series id, both ends included; means over `step_s` where it is given."""
        span = {"start_ms": start_ms, "end_ms": end_ms, "step_s": step_s}
        return self._of_series(dict[str, Columns], "/api/samples", series_ids, span)

    def bands(self, series_ids: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Bands]:
        """Readings and judgements per series id."""
        return self._of_series(dict[str, Bands], "/api/bands", series_ids, {"start_ms": start_ms, "end_ms": end_ms})

    def incidents(
        self, service: str | None = None, state: IncidentState | None = None, since_ms: int | None = None
    ) -> tuple[Incident, ...]:
        """Newest first, as every list of events here; without `since_ms`, those that the API has in memory."""
        return self._get(tuple[Incident, ...], "/api/incidents", service=service, state=state, since_ms=since_ms)

    def incident(self, incident_id: str) -> Incident:
        return self._get(Incident, f"/api/incidents/{_part(incident_id)}")

    def proposals(
        self, service: str | None = None, state: ProposalState | None = None, since_ms: int | None = None
    ) -> tuple[Proposal, ...]:
        return self._get(tuple[Proposal, ...], "/api/proposals", service=service, state=state, since_ms=since_ms)

    def proposal(self, proposal_id: str) -> Proposal:
        return self._get(Proposal, f"/api/proposals/{_part(proposal_id)}")

    def decide(self, proposal_id: str, verdict: Literal["approve", "reject"], by: str, why: str) -> Decision:
        """Approve or reject a proposal. Whoever owns it acts on this a moment later."""
        return self._post(Decision, f"/api/proposals/{_part(proposal_id)}/{verdict}", {"by": by, "why": why})

    def anomalies(self, service: str | None = None, since_ms: int | None = None) -> tuple[Anomaly, ...]:
        return self._get(tuple[Anomaly, ...], "/api/anomalies", service=service, since_ms=since_ms)

    def marks(self, service: str | None = None, since_ms: int | None = None) -> tuple[Mark, ...]:
        return self._get(tuple[Mark, ...], "/api/marks", service=service, since_ms=since_ms)

    def mark(self, service: str, kind: MarkKind, text: str, by: str, time_ms: int | None = None) -> Mark:
        """Tell recwatch that something was done; now, if no time is given."""
        return self._post(Mark, "/api/marks", {"service": service, "kind": kind, "text": text, "by": by, "time_ms": time_ms})

    def silences(self, service: str | None = None) -> tuple[Silence, ...]:
        return self._get(tuple[Silence, ...], "/api/silences", service=service)

    def silence(self, service: str, cause: Cause | None, duration_s: float, by: str, why: str) -> Silence:
        """Keep incidents with this cause (any, if None), but do not send them, from now on for `duration_s`."""
        body = {"service": service, "cause": cause, "duration_s": duration_s, "by": by, "why": why}
        return self._post(Silence, "/api/silences", body)

    def unsilence(self, silence_id: str, by: str) -> Silence:
        """End a silence now."""
        return self._post(Silence, f"/api/silences/{_part(silence_id)}/end", {"by": by})

    def explain(self, service: str | None, series: str) -> Explained:
        """Why `series`, a name or a whole key, did or did not alarm, and when its level last changed.

        Of a latency, too, how it compares with what it was before at equal load. Without a service the name or key must be
        that of one series alone.
        """
        return self._get(Explained, "/api/explain", service=service, series=series)

    def holds(self) -> tuple[Hold, ...]:
        return self._get(tuple[Hold, ...], "/api/holds")

    def _of_series(
        self, kind: type[dict[str, T]], path: str, series_ids: Sequence[str], span: Mapping[str, int | None]
    ) -> dict[str, T]:
        found: dict[str, T] = {}
        for begin in range(0, len(series_ids), MOST_SERIES):
            found |= self._get(kind, path, series_id=list(series_ids[begin : begin + MOST_SERIES]), **span)
        return found

    def _get(self, kind: type[T], path: str, **query: Any) -> T:
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask(kind, "GET", path, params=given)

    def _post(self, kind: type[T], path: str, body: Mapping[str, object]) -> T:
        return self._ask(kind, "POST", path, json=body)

    def _ask(self, kind: type[T], method: str, path: str, **request: Any) -> T:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise Unavailable(f"The recwatch API at {self.url} does not answer; is 'recwatch up' running?") from error
        if answer.is_success:
            return _parsed(kind, answer.content, self.url)
        if answer.is_server_error:
            raise Unavailable(f"The recwatch API at {self.url} failed: {_detail(answer)}")
        raise BadInput(_detail(answer))


def _part(id_: str) -> str:
    """An id, whatever is in it, as one part of a path."""
    return quote(id_, safe="")


def _parsed(kind: type[T], content: bytes, url: str) -> T:
    adapter = _TYPES.get(kind)
    if adapter is None:
        adapter = _TYPES[kind] = TypeAdapter(kind)
    try:
        value: T = adapter.validate_json(content)
    except ValidationError as error:
        raise Unavailable(f"What answers at {url} is not this version of the recwatch API.") from error
    return value


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {answer.status_code}."
