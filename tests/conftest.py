"""What every test may use."""

from __future__ import annotations

import os

import pytest


def require(name: str, present: bool, why: str) -> None:
    """Skip the calling test when this machine lacks `name`; fail it when RECWATCH_REQUIRE names it.

    `RECWATCH_REQUIRE` is a comma-separated list, as in `kafka,chromium`.
    """
    if present:
        return
    if name in os.environ.get("RECWATCH_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required here, but {why}")
    pytest.skip(f"{name}: {why}")
