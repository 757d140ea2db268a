"""Words for what is scraped: how each page of a service answers just now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetState:
    """Whether a target answers; `error` is what its latest scrape failed of, empty while it is up.

    `kind` names the kinds of servers on its page; `last_scrape_ms` is of the last scrape that brought one.
    """

    url: str
    up: bool
    error: str = ""
    kind: str = ""
    last_scrape_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TargetSet:
    """Every target of a service, as it was at `time_ms` (wall clock).

    The topic `targets` is compacted by service, so each message is complete. One is published when something but the time
    of the last scrape changes, and every ten seconds besides: who hears nothing for longer knows that nobody scrapes.
    `by` names the collector that scrapes the service, since `since_ms`; empty where a Prometheus sends it.
    """

    service: str
    targets: tuple[TargetState, ...]
    time_ms: int = 0
    by: str = ""
    since_ms: int = 0

    @property
    def down(self) -> tuple[TargetState, ...]:
        return tuple(target for target in self.targets if not target.up)
