"""A port that nothing can listen on is said in one sentence."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from recwatch.app.ports import listening
from recwatch.core.errors import Unavailable


def elsewhere(kind: str, find: Callable[[str], Any] = psutil.net_connections) -> list[Any]:
    """What a user sees who may not look at the process that has the port here."""
    return [one for one in find(kind) if one.laddr and one.laddr.ip != "127.0.0.1"]


def nothing(kind: str) -> list[Any]:
    raise FileNotFoundError(f"/proc/net/{kind}")


@pytest.mark.parametrize("seen", [elsewhere, nothing])
def test_a_port_of_a_process_that_may_not_be_looked_at_is_perhaps_another_recwatch(
    monkeypatch: pytest.MonkeyPatch, seen: Callable[[str], list[Any]]
) -> None:
    monkeypatch.setattr(psutil, "net_connections", seen)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)), pytest.raises(Unavailable) as caught:
            listening("127.0.0.1", port, "The API", "api.port")
    assert str(caught.value) == (
        f"The API cannot listen on 127.0.0.1:{port}: another process, perhaps another recwatch, does. "
        "Stop that one, or choose another port with api.port."
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a process names itself so on Linux")
def test_what_a_process_calls_itself_does_nothing_to_a_terminal() -> None:
    comm = Path("/proc/self/comm")
    name = comm.read_text().strip()
    comm.write_text("red\x1b[31m")
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(Unavailable, match=rf"process {os.getpid()} \(red·\[31m\) does"):
                listening("127.0.0.1", port, "The API", "api.port")
    finally:
        comm.write_text(name)


def test_an_address_that_is_not_of_this_machine_is_said_with_the_systems_reason() -> None:
    with pytest.raises(Unavailable, match=r"^The store cannot listen on 192\.0\.2\.1:0: Cannot assign .+\. Choose another"):
        listening("192.0.2.1", 0, "The store", "--port")
