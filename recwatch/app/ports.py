"""Ports of this machine to listen on, and who has one that is taken."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

from recwatch.core.errors import Unavailable
from recwatch.core.wording import clean


def listening(host: str, port: int, name: str, setting: str) -> socket.socket:
    """A socket that listens, on any free port for 0; who asks before somebody answers there waits.

    Raises Unavailable where that cannot be, with the `name` of what was to listen, who does instead, and the `setting` that
    chooses another port.
    """
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen()
    except OSError as error:
        made.close()
        taken = error.errno == errno.EADDRINUSE
        why = f"{_holder(host, port)} does. Stop that one, or choose" if taken else f"{error.strerror or error}. Choose"
        raise Unavailable(f"{name} cannot listen on {host}:{port}: {why} another port with {setting}.") from error
    return made


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with listening("127.0.0.1", 0, "", "") as probe:
        port: int = probe.getsockname()[1]
        return port


def _holder(host: str, port: int) -> str:
    """Who listens on a port of this address or of all, as far as the machine tells this user."""
    import psutil  # noqa: PLC0415 (only who meets a taken port pays for it)

    addresses = [(ip, port) for ip in (host, "0.0.0.0", "::")]  # noqa: S104 (another's, not ours)
    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr in addresses and one.pid:
                return f"process {one.pid} ({clean(psutil.Process(one.pid).name())})"
    return "another process, perhaps another recwatch,"
