"""Loopback ports for processes that start later, or again."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, closing, suppress

# Below what the system gives to outgoing connections, so that none of those takes the port of a process that is away.
PORTS = range(20_000, 32_768)


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on now. Raises OSError where there are not as many."""
    free: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(PORTS, 100):
            probe = held.enter_context(closing(socket.socket()))
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                free.append(port)
            if len(free) == count:
                return free
    raise OSError(f"no {count} ports are free between {PORTS.start} and {PORTS.stop}")
