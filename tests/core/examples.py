"""One event of every kind, with everything in it that can be; texts that are hard to keep; a retention that keeps them."""

from __future__ import annotations

from recwatch.core.event_json import Event
from recwatch.core.events import Anomaly, Cause, Evidence, Incident, Mark, RankedCause, Silence, Transition
from recwatch.core.proposals import Action, Decision, Interval, Prediction, Proposal
from recwatch.core.store import Retention

START_MS = 1_700_000_000_000
FOREVER = Retention(samples_days=10_000, rollup_days=10_000, hourly_days=10_000)
NASTY_TEXTS = (
    "it's",
    'say "no"',
    "a\\b",
    "two\nlines\tand a tab",
    "Ångström 漢字 🚀",
    "\\N",
    "{x:String}",
    "'; DROP TABLE events",
    "\\'",
)

OPEN = Transition("open", START_MS + 1, "recwatch", 'latency over its bound, "shop"')
ANOMALY = Anomaly(
    Anomaly.id_of(2**64 - 1, "ewma", START_MS),
    "shop",
    str(2**64 - 1),
    'latency_p99_seconds{service="shop"}',
    "ewma",
    START_MS,
    None,
    7.25,
    "above",
    0.1 + 0.2,
    None,
    "3 times what is usual: 0.30 s\nagainst 0.10 s",
)
MARK = Mark.of("shop", "deploy", START_MS - 5_000, "ranker v2 – 漢字", by="ci")
INCIDENT = Incident(
    "incident-1",
    "shop",
    "open",
    "page",
    START_MS,
    None,
    "shop is slow",
    (
        RankedCause(
            Cause.LOAD_SURGE, 0.9, (Evidence("requests doubled", "requests_per_second", 200.0, 100.0), Evidence("?"))
        ),
    ),
    (ANOMALY,),
    (MARK,),
    (OPEN,),
    (Evidence("p99 latency changed", "latency_p99_seconds", 0.3, 0.1),),
)
PROPOSAL = Proposal(
    "proposal-1",
    "shop",
    "incident-1",
    "proposed",
    "max_batch_size",
    8,
    16.0,
    Prediction(Interval(1.0, 2.0, 3.5), Interval(90.0, 100.0, 110.0), Interval(1.0, 1.0, 1.0), Interval(0.9, 0.95, 1.0)),
    "batches are full",
    (Evidence("queue grows"),),
    "queueing",
    START_MS + 2_000,
    START_MS + 602_000,
    (Transition("proposed", START_MS + 2_000, "recwatch", "batches are full"),),
    (Action(START_MS + 3_000, "max_batch_size", 16, "16", "recwatch"),),
    12.5,
)
SILENCE = Silence("silence-1", "shop", None, START_MS, START_MS + 60_000, "ana", "known")
DECISION = Decision.of(PROPOSAL, "approve", START_MS + 2_500, "ana", "go")

EVENTS: tuple[Event, ...] = (ANOMALY, MARK, INCIDENT, PROPOSAL, SILENCE, DECISION)
