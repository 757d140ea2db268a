"""The faults: what is done to a deployment while it watches."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from threading import Event

from cluster.kafka import LocalKafka
from cluster.program import PROGRAM
from faults import raw
from faults.deployment import ROLES, STORE, Deployment
from faults.supervised import Supervised

DISK_KIB = 256
PRIVATE = ("unshare", "--mount")
"""Begins a command whose mounts are its own, and end with it."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault acts on. `short` asks for a small share of it; `regress` puts a service in trouble, in its midst."""

    deployment: Deployment
    kafka: LocalKafka
    random: Random
    short: bool
    regress: Callable[[], None]
    tell: Tell
    _pause: Event = field(default_factory=Event)

    def sleep(self, seconds: float) -> None:
        """Let real time pass."""
        self._pause.wait(seconds)


def kills(scene: Scene) -> None:
    """Each process is killed again and again, at random moments, and started again a second later."""
    total = len(ROLES) if scene.short else 30
    victims = [*ROLES] if scene.short else [scene.random.choice(ROLES) for _ in range(total)]
    scene.random.shuffle(victims)
    for number, victim in enumerate(victims, start=1):
        scene.tell(f"kill {number} of {total}: {victim}")
        if number == total // 2:
            scene.regress()
        scene.deployment.wait_until(scene.deployment.processes[victim].running, f"{victim} runs")
        scene.deployment.kill(victim)
        scene.sleep(scene.random.uniform(1, 5) if scene.short else scene.random.uniform(2, 8))


def rebalances(scene: Scene) -> None:
    """Every five seconds, or as soon as the last one is ready, a second process of a role joins, or leaves again."""
    deployment, joined = scene.deployment, dict[str, Supervised]()
    for number, role in zip(range(2 if scene.short else 12), cycle(ROLES), strict=False):
        name = f"{role}-2"
        scene.tell(f"{name} {'leaves' if name in joined else 'joins'}")
        begun_ms = deployment.clock.now_ms()
        if number == 6:
            scene.regress()
        if joined.pop(name, None):
            deployment.end(name)
        else:
            joined[name] = deployment.add(role, name)
            deployment.wait_until(joined[name].ready, f"{name} is ready")
        scene.sleep(max(0.0, 5.0 - (deployment.clock.now_ms() - begun_ms) / 1000))
        if role == "collectors":
            deployment.interrupted(begun_ms)
    for name in joined:
        deployment.end(name)


def broker_paused(scene: Scene) -> None:
    """The only broker does nothing for a minute, with all its connections open."""
    [broker] = scene.kafka.brokers
    broker.pause()
    _halves(scene, 10 if scene.short else 60)
    broker.resume()


def broker_killed(scene: Scene) -> None:
    """One of three brokers is killed, and comes back after 20 s."""
    broker = scene.random.choice(scene.kafka.brokers)
    scene.tell(f"broker {broker.number} is killed")
    broker.kill()
    _halves(scene, 20)
    scene.tell(f"broker {broker.number} comes back")
    broker.start()
    scene.sleep(10)


def store_away(scene: Scene) -> None:
    """The store is killed and refuses for 20 s, then hangs for 20 s with its connections open, then is back."""
    scene.tell("the store is killed")
    scene.deployment.kill(STORE, away_s=20)
    _halves(scene, 20)
    scene.deployment.wait_until(scene.deployment.findings.answer, "the store answers again")
    scene.sleep(5)
    scene.tell("the store hangs")
    scene.deployment.processes[STORE].pause()
    scene.sleep(20)
    scene.deployment.processes[STORE].resume()


def delivered_twice(scene: Scene) -> None:
    """All samples of some seconds are published a second time, as by a producer that did not hear of its success."""
    _halves(scene, 10)
    count = raw.publish_again(scene.deployment.bus_dsn)
    scene.tell(f"{count} messages were published again")
    scene.sleep(6)


def poison(scene: Scene) -> None:
    """Bytes that nobody can read lie in every partition of samples, anomalies and incidents."""
    scene.regress()
    put = raw.put_poison(scene.deployment.bus_dsn)
    scene.tell(f"{len(put)} messages that nobody can read")
    scene.sleep(3)
    scene.deployment.wait_until(
        lambda: put <= raw.dead_letters(scene.deployment.bus_dsn), "every poison message is put aside with its reason"
    )


def clock_steps(scene: Scene) -> None:
    """The clock of the collectors steps an hour on; later, an hour back."""
    scene.deployment.end("collectors")
    collectors = scene.deployment.add("collectors", program=[sys.executable, "-m", "faults.stepped"])
    scene.deployment.wait_until(collectors.ready, "collectors with a clock of their own are ready")
    scene.sleep(5)
    scene.tell("an hour on")
    collectors.send(signal.SIGUSR1)
    _halves(scene, 20)
    scene.tell("an hour back")
    collectors.send(signal.SIGUSR2)
    scene.sleep(10)


def disk_full(scene: Scene) -> None:
    """The broker does nothing for a minute, and the disk under the collectors' spool is full after some seconds."""
    small = f'mkdir -p .recwatch/spool && mount -t tmpfs -o size={DISK_KIB}k tmpfs .recwatch/spool && exec "$@"'
    scene.deployment.end("collectors")
    collectors = scene.deployment.add("collectors", program=[*PRIVATE, "sh", "-c", small, "sh", *PROGRAM])
    scene.deployment.wait_until(collectors.ready, "collectors with a small disk are ready")
    scene.sleep(5)
    broker_paused(scene)


def _no_private_mounts() -> str:
    """Why a process cannot have a small disk of its own here; empty where it can."""
    tried = shutil.which(PRIVATE[0]) and subprocess.run([*PRIVATE, "true"], check=False, capture_output=True).returncode == 0
    return "" if tried else "only root may mount a small disk"


def _halves(scene: Scene, seconds: float) -> None:
    scene.sleep(seconds / 2)
    scene.regress()
    scene.sleep(seconds / 2)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, over so many brokers. What is scraped after it is judged again, unless `judged` says otherwise.

    `lacks` says what this machine lacks for it, and nothing where it lacks nothing.
    """

    do: Callable[[Scene], None]
    brokers: int = 1
    judged: bool = True
    lacks: Callable[[], str] = lambda: ""


CASES: Mapping[str, Case] = {
    "kills": Case(kills),
    "rebalances": Case(rebalances),
    "broker-paused": Case(broker_paused),
    "disk-full": Case(disk_full, lacks=_no_private_mounts),
    "broker-killed": Case(broker_killed, brokers=3),
    "store-away": Case(store_away),
    "delivered-twice": Case(delivered_twice),
    "clock-steps": Case(clock_steps, judged=False),
    "poison": Case(poison),
}
SHORT: Sequence[str] = ("kills",)
"""What CI runs."""
