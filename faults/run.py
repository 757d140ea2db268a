"""One fault run: start everything, do it, wait until all is well again, and judge."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cluster.kafka import LocalKafka
from faults.cases import Case, Scene, Tell
from faults.deployment import Deployment
from faults.source import Source
from faults.verdict import Verdict, judge
from recwatch.core.clock import SystemClock
from recwatch.core.errors import Unavailable

EARLY, LATE = "early", "late"
SERVICES = (EARLY, LATE, "steady-a", "steady-b", "steady-c", "steady-d")
RECOVERS_S, TOLD_S = 180.0, 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fault was survived, unless this machine is `lacking` something for it.

    `recovered_s` is the time from the fault's end until of every service a page that was served after it is stored and
    judged; None where that did not come by itself. `broken` says which promises were not kept.
    """

    name: str
    recovered_s: float | None = None
    verdict: Verdict | None = None
    broken: tuple[str, ...] = ()
    lacking: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class How:
    """How all cases of one call are run."""

    seed: int
    short: bool
    tell: Tell


def run_case(name: str, case: Case, kafka: LocalKafka, folder: Path, how: How) -> Outcome:
    """Run one case over brokers that are there, on topics of its own."""
    if lacking := case.lacks():
        return Outcome(name, lacking=lacking)
    clock = SystemClock()
    begun_s = clock.monotonic_s()
    with ExitStack() as opened:
        source = opened.enter_context(closing(Source(SERVICES, clock)))
        deployment = Deployment(folder, f"kafka://{kafka.plain}/{name}", source)
        opened.callback(deployment.stop)
        broken: list[str] = []
        recovered_s = verdict = None
        try:
            how.tell("starting")
            deployment.start()
            source.fail(EARLY)
            deployment.wait_until(_told_of(deployment, EARLY), f"a message says that {EARLY} is in trouble")
            case.do(Scene(deployment, kafka, Random(how.seed), how.short, lambda: source.fail(LATE), how.tell))
            how.tell("waiting until all is well")
            try:
                recovered_s = _recovered_s(deployment, source, judged=case.judged)
                deployment.wait_until(_told_of(deployment, LATE), f"a message says that {LATE} is in trouble", TOLD_S)
            except Unavailable as error:
                broken.append(str(error))
            how.tell("counting")
            verdict = judge(deployment.finish(), (EARLY, LATE))
            broken += verdict.broken
        except Unavailable as error:
            broken.append(str(error))
    return Outcome(name, recovered_s, verdict, tuple(broken), took_s=clock.monotonic_s() - begun_s)


def _recovered_s(deployment: Deployment, source: Source, *, judged: bool) -> float:
    """Seconds from now until of every service a page that is served from now on is stored and, if asked, judged."""
    numbers = {service: source.last(service) for service in source.services}
    since_ms = deployment.clock.now_ms() if judged else None
    return deployment.wait_until(
        lambda: deployment.findings.caught_up(numbers, since_ms), "every service is stored and judged again", RECOVERS_S
    )


def _told_of(deployment: Deployment, service: str) -> Callable[[], bool]:
    return lambda: any(notice.service == service for notice in deployment.notices)
