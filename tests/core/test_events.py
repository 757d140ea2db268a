"""Events keep everything on their way through JSON, and their ids are stable."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recwatch.core.event_json import Event, from_json, to_json
from recwatch.core.events import Anomaly, Incident, Mark, event_id
from recwatch.core.proposals import KnobValue
from tests.core.examples import ANOMALY, DECISION, EVENTS, INCIDENT, MARK, PROPOSAL, SILENCE

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_kind_of_event_survives_json(event: Event) -> None:
    assert from_json(type(event), to_json(event)) == event


def test_an_incident_that_was_kept_before_shifts_were_told_is_read() -> None:
    told = json.loads(to_json(INCIDENT))
    del told["shifts"]
    assert from_json(Incident, json.dumps(told)) == dataclasses.replace(INCIDENT, shifts=())


@given(text=st.text(), value=FINITE, expected=st.none() | FINITE, end_ms=st.none() | st.integers(0, 2**53))
def test_texts_and_numbers_survive_json(text: str, value: float, expected: float | None, end_ms: int | None) -> None:
    anomaly = dataclasses.replace(ANOMALY, reason=text, series=text, value=value, expected=expected, end_ms=end_ms)
    assert from_json(Anomaly, to_json(anomaly)) == anomaly


@given(value=st.integers(-(2**53), 2**53) | FINITE | st.text())
def test_the_value_of_a_knob_keeps_its_type(value: KnobValue) -> None:
    back = from_json(type(PROPOSAL), to_json(dataclasses.replace(PROPOSAL, to_value=value)))
    assert (back.to_value, type(back.to_value)) == (value, type(value))


def test_a_step_is_added_to_the_history_and_the_old_value_stays() -> None:
    approved = PROPOSAL.moved("approved", 7, "ana", "go", measured_p99_ms=None)
    assert (approved.state, approved.id, len(approved.history)) == ("approved", PROPOSAL.id, len(PROPOSAL.history) + 1)
    assert approved.history[-1].why == "go"
    assert PROPOSAL.state == "proposed"


def test_ids_are_the_same_in_every_process_and_release() -> None:
    assert event_id("mark", "shop", 1) == "cfe22cc82b4fc7fa"
    assert [ANOMALY.id, MARK.id, DECISION.id] == ["079c060dd5cbf354", "97edb99f5202d15f", "74fe6a9a55a78906"]


def test_ids_tell_apart_what_differs() -> None:
    assert event_id("a", "bc") != event_id("ab", "c")
    assert len({ANOMALY.id, MARK.id, DECISION.id, INCIDENT.id, PROPOSAL.id, SILENCE.id}) == 6
    assert MARK.id != Mark.of("shop", "deploy", MARK.time_ms + 1, MARK.text, by="ci").id
