"""What fault runs read in the store."""

from __future__ import annotations

from faults.findings import gap_of
from faults.verdict import Gap
from recwatch.core.bus.spool.gap import Gap as Dropped
from recwatch.core.events import Mark


def test_a_gap_is_read_from_the_mark_that_the_spool_makes_of_it_to_the_second() -> None:
    assert gap_of(Dropped(812, 1_700_000_000_400, 1_700_000_075_300).mark("shop")) == Gap(
        "shop", 1_700_000_000_000, 1_700_000_075_999
    )
    assert gap_of(Dropped(1, 1_700_000_000_400, 1_700_000_000_400).mark("shop")) == Gap(
        "shop", 1_700_000_000_000, 1_700_000_000_999
    )
    assert gap_of(Mark.of("shop", "note", 5, "the cache was emptied", by="ana")) is None
