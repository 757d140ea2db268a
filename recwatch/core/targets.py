"""Words for what is scraped: how each page of a service answers just now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetState:
    """Whether a target answers; `error` is what its latest scrape failed of, empty while it is up."""

    url: str
    up: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class TargetSet:
    """Every target of a service. The topic `targets` is compacted by service, so each message is complete."""

    service: str
    targets: tuple[TargetState, ...]

    @property
    def down(self) -> tuple[TargetState, ...]:
        return tuple(target for target in self.targets if not target.up)
