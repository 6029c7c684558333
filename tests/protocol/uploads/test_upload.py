"""The state of an upload changes only as the table says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import UploadComplete, UploadEnded
from tailrace.protocol.uploads import upload
from tailrace.protocol.uploads.upload import TRANSITIONS, UploadEvent, UploadState, advance

ENDS = {UploadState.COMPLETE, UploadState.CANCELLED, UploadState.EXPIRED}


def test_every_state_is_in_the_table():
    assert set(TRANSITIONS) == set(UploadState)


def test_every_event_can_happen():
    assert {event for row in TRANSITIONS.values() for event in row} == set(UploadEvent)


def test_every_state_is_in_the_drawing_and_so_is_every_event():
    drawn = set(re.findall(r"[A-Z_]{2,}", upload.__doc__))
    assert drawn == {*UploadState.__members__, *UploadEvent.__members__}


def test_the_ends_are_complete_cancelled_and_expired():
    assert {state for state in UploadState if state.has_ended} == ENDS


@pytest.mark.parametrize("event", UploadEvent)
@pytest.mark.parametrize("state", sorted(ENDS, key=lambda state: state.value))
def test_nothing_happens_to_an_upload_that_has_ended(state, event):
    with pytest.raises(UploadEnded, match=state.value):
        advance(state, event)


def test_a_second_writer_cannot_begin_before_the_first_has_ended():
    with pytest.raises(ValueError, match="append begun"):
        advance(UploadState.RECEIVING, UploadEvent.APPEND_BEGUN)


def test_an_upload_completes_only_by_a_request_that_writes():
    ways = {
        (state, event)
        for state, row in TRANSITIONS.items()
        for event, after in row.items()
        if after is UploadState.COMPLETE
    }
    assert ways == {(UploadState.RECEIVING, UploadEvent.APPEND_COMPLETED)}


@pytest.mark.parametrize(
    "event", [UploadEvent.CONNECTION_LOST, UploadEvent.TAKEN_OVER, UploadEvent.APPEND_REFUSED]
)
def test_a_request_that_is_cut_taken_over_or_refused_leaves_the_upload_open(event):
    assert advance(UploadState.RECEIVING, event) is UploadState.EXPECTING


def test_only_of_a_complete_upload_it_is_said_that_it_is_complete():
    told = {}
    for state in ENDS:
        with pytest.raises(UploadEnded) as raised:
            advance(state, UploadEvent.APPEND_BEGUN)
        told[state] = type(raised.value)
    assert {state for state, error in told.items() if error is UploadComplete} == {
        UploadState.COMPLETE
    }


@given(st.lists(st.sampled_from(UploadEvent), max_size=30))
def test_no_walk_leaves_the_table(events):
    state = UploadState.EXPECTING
    for event in events:
        try:
            after = advance(state, event)
        except UploadEnded:
            assert state in ENDS
        except ValueError:
            assert event not in TRANSITIONS[state]
        else:
            assert after is TRANSITIONS[state][event]
            state = after


@pytest.mark.parametrize("state", UploadState)
def test_from_every_state_an_end_can_be_reached(state):
    reached = {state}
    while True:
        further = reached | {after for each in reached for after in TRANSITIONS[each].values()}
        if further == reached:
            break
        reached = further
    assert reached & ENDS
