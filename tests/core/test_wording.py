"""Names that people read."""

from __future__ import annotations

import pytest

from recwatch.core.canonical import SIGNALS
from recwatch.core.wording import SPOKEN, spoken


@pytest.mark.parametrize("signal", SIGNALS)
def test_no_signal_is_told_by_its_raw_name(signal: str) -> None:
    assert spoken(signal)
    assert "_" not in spoken(signal)


def test_only_signals_have_plainer_names() -> None:
    assert set(SPOKEN) <= set(SIGNALS)


def test_no_two_signals_of_one_unit_have_the_same_name() -> None:
    said = [(spoken(name), signal.unit) for name, signal in SIGNALS.items()]
    assert len(set(said)) == len(said)
