"""What is told of a service's targets, and of those that come and go."""

from __future__ import annotations

import pytest

from collectors.target import TargetStatus
from recwatch.app.config import WatchedService
from recwatch.app.standing import Standing

URL = "http://10.0.0.1:8000/metrics"
OTHER = TargetStatus("http://10.0.0.2:8000/metrics", "", True, "", 1000, 5)


def down(reason: str = "refused") -> TargetStatus:
    return TargetStatus(URL, "", False, reason, None, 0)


def test_a_target_that_was_listed_no_more_is_news_when_it_comes_back_down(caplog: pytest.LogCaptureFixture) -> None:
    standing = Standing(WatchedService(name="shop", targets=(URL,)), now_ms=0)  # type: ignore[arg-type]
    told = []
    for now_ms, targets in enumerate(([down(), OTHER], [down(), OTHER], [OTHER], [down("reset"), OTHER])):
        standing.now(targets, now_ms)
        told.append([record.getMessage() for record in caplog.records])
        caplog.clear()
    assert told == [["shop: refused"], [], [], ["shop: reset"]]
