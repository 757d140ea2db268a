"""Faults with a start, an end and a true cause, so that whoever watches can be told right from wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["scheduled", "active", "ended"]


class BadFault(ValueError):
    """A fault that cannot be had; its text says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: its true cause, and by how much it makes things worse unless told (None: it has no measure)."""

    cause: str
    factor: float | None
    help: str


KINDS: Mapping[str, Kind] = {
    "surge": Kind("load_surge", 3.2, "the load generator sends this many times its rate"),
    "deploy": Kind("slow_version", None, "model version v2 is deployed"),
    "throttle": Kind("gpu_throttling", 2.2, "the GPU's clock is this many times slower"),
}
FACTORS = (1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; times are unix seconds."""

    name: str
    started_at: float
    ends_at: float
    factor: float | None

    @property
    def cause(self) -> str:
        return KINDS[self.name].cause

    def state(self, now: float) -> State:
        """Where the fault is in its life at `now`."""
        if now < self.started_at:
            return "scheduled"
        return "active" if now < self.ends_at else "ended"


@dataclass(frozen=True, slots=True)
class Turn:
    """A fault that began or ended since one last looked."""

    name: str
    begins: bool


class Faults:
    """The latest fault of each kind. Time is an argument of every call."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._begun: set[str] = set()

    def start(self, name: str, now: float, start_in_s: float, duration_s: float, factor: float | None) -> Fault:
        """Schedule a fault; raises BadFault for an unknown name or factor, or while one of that name is not over."""
        kind = KINDS.get(name)
        if kind is None:
            raise BadFault(f"There is no fault {name!r}; there are {', '.join(KINDS)}")
        if factor is not None and kind.factor is None:
            raise BadFault(f"{name} takes no factor")
        if factor is not None and not FACTORS[0] <= factor <= FACTORS[1]:
            raise BadFault(f"factor is {factor}; give a number from {FACTORS[0]:g} to {FACTORS[1]:g}")
        known = self._faults.get(name)
        if name in self._begun or (known is not None and known.state(now) != "ended"):
            raise BadFault(f"{name} is not over yet; end it first")
        begins = now + start_in_s
        self._faults[name] = Fault(name, begins, begins + duration_s, kind.factor if factor is None else factor)
        return self._faults[name]

    def end(self, name: str, now: float) -> Fault:
        """End a fault at `now` if it is not over; raises BadFault if there never was one."""
        fault = self._faults.get(name)
        if fault is None:
            raise BadFault(f"No fault {name!r} was started")
        if fault.state(now) != "ended":
            self._faults[name] = replace(fault, started_at=min(fault.started_at, now), ends_at=now)
        return self._faults[name]

    def all(self) -> list[Fault]:
        """The latest of each kind, in order of start."""
        return sorted(self._faults.values(), key=lambda fault: fault.started_at)

    def factor(self, name: str, now: float) -> float:
        """The factor of a fault while it is active, else 1."""
        fault = self._faults.get(name)
        return fault.factor if fault is not None and fault.factor and fault.state(now) == "active" else 1.0

    def turns(self, now: float) -> Iterator[Turn]:
        """What began or ended since the last call; each is told once."""
        for name, fault in self._faults.items():
            active = fault.state(now) == "active"
            if active and name not in self._begun:
                self._begun.add(name)
                yield Turn(name, begins=True)
            elif not active and name in self._begun:
                self._begun.remove(name)
                yield Turn(name, begins=False)
