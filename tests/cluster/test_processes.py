"""Every role a process of its own, on a real broker and a served store: what is scraped is stored, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from cluster.processes import Processes
from recwatch.app.cast import Inbox
from recwatch.core.bus.brokers import Brokers
from recwatch.core.clock import SystemClock
from recwatch.core.store.connection import PASSWORD_VARIABLE
from tests.app.shop import shop, until, watched


def test_what_many_processes_scraped_is_stored_once(
    tmp_path: Path, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (PASSWORD_VARIABLE, f"{PASSWORD_VARIABLE}_FILE"):
        monkeypatch.setenv(variable, "as it was")  # the processes' own is set below; this takes it back in the end
    with shop() as server:
        monitor = Processes(str(brokers), watched(tmp_path, server), tmp_path, Inbox(Console(), SystemClock()))
        try:
            monitor.start()
            asked = len(server.requests)
            until(lambda: len(server.requests) >= asked + 5, "the page is scraped")
            monitor.check()
        finally:
            monitor.stop()
        counts = monitor.counts()
    assert counts.samples_scraped == counts.samples_stored
    assert counts.samples_stored >= 5
