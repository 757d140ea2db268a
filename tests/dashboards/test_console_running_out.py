"""What runs out is said on the live page, with the time left by now."""

from __future__ import annotations

import sys

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.console.running_out import foreseen, sentence
from recwatch.client import Columns, SignalStatus
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Anomaly
from recwatch.core.signals import Samples, SeriesSet
from tests.app.world import TOKEN, World

DATA, ROOT = (canonical_series("shop", "host_filesystem_available_bytes", {"mountpoint": at}) for at in ("/data", "/"))
LEFT = [derived_series(f"recwatch_exhaustion_seconds{end}", DATA, "exhaustion") for end in ("", "_lower", "_upper")]


def disk(left_bytes: float) -> SignalStatus:
    name, labels = DATA.name, dict(DATA.labels)
    return SignalStatus(str(DATA.id), DATA.key, name, labels, "bytes", "", False, left_bytes, 1000, 1.2)


def lately(*seconds: float) -> dict[str, Columns]:
    return {str(one.id): Columns([0, 1000], [9e9, value]) for one, value in zip(LEFT, seconds, strict=False)}


def test_the_time_left_is_the_newest_that_was_foreseen() -> None:
    assert foreseen(disk(1.0)) == [str(one.id) for one in LEFT]
    assert sentence(disk(8 * 2.0**30), lately(7200.0, 6600.0, 7500.0)) == (
        "Disk space available (mountpoint /data) 8 GiB: used up in 2 h (1 h 50 min to 2 h 5 min) if its trend goes on."
    )
    assert sentence(disk(0.0), lately(0.0, 0.0, 0.0)) == "Disk space available (mountpoint /data) 0 MiB: used up."
    assert "2 h (1 h 50 min or longer)" in sentence(disk(8 * 2.0**30), lately(7200.0, 6600.0))
    assert sentence(disk(2.0**30), lately(7200.0)) == (
        "Disk space available (mountpoint /data) 1 GiB: its trend is not sure just now."
    )


PAGE = """
from contextlib import closing
from dataclasses import replace
from dashboards.console.running_out import running_out
from recwatch.client import Client

with closing(Client({url!r}, {token!r})) as client:
    shop = next(s for s in client.services() if s.name == "shop")
    running_out(client, replace(shop, stale_after_ms={stale_after_ms}), {now_ms})
"""


@pytest.mark.parametrize(("ago_ms", "stale_after_ms"), [(0, 5000), (240_000, 900_000)])
def test_the_page_warns_of_what_runs_out_and_of_nothing_else(
    ago_ms: int, stale_after_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Streamlit puts the page there and leaves it, and a process that is spawned later would run it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    with World(FakeClock(1_700_000_000_000)) as world:
        now_ms = world.view.clock.now_ms()
        world.live.take(SeriesSet("shop", (DATA, ROOT)))
        world.live.take(SeriesSet("shop", tuple(LEFT)))
        foretold = dict(zip((one.id for one in LEFT), (7200.0, 6600.0, 7500.0), strict=True))
        readings = {DATA.id: 8 * 2.0**30, ROOT.id: 90 * 2.0**30}
        for told in (readings, foretold):
            world.live.take(Samples.of("shop", "", now_ms - ago_ms, told))
        world.live.take(
            Anomaly("a", "shop", str(DATA.id), DATA.key, "exhaustion", now_ms, None, 1.2, "below", 9e9, None, "it runs out")
        )
        asked = {"url": world.url, "token": TOKEN, "now_ms": now_ms, "stale_after_ms": stale_after_ms}
        shown = AppTest.from_string(PAGE.format(**asked)).run(timeout=30)

    assert not shown.exception
    (warning,) = shown.warning
    said = warning.value.replace("\\", "")
    assert said.startswith("Disk space available (mountpoint /data) 8 GiB: used up in 2 h (1 h 50 min to 2 h 5 min)")
    assert "Told since" in said
