import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol.events import HEARTBEAT, ServerSentEvent

names = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"))
texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n: "))


def dispatched(stream: bytes) -> list[tuple[str, str, str]]:
    """Interpret a stream as §9.2.6 tells a client to: name, data and last id of each event."""
    events, data, name, last_id = [], [], "", ""
    for line in re.split("\r\n|\r|\n", stream.decode())[:-1]:
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((name, "\n".join(data), last_id))
            data, name = [], ""
        elif colon and not field:
            pass  # a comment
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


@given(texts, names, names)
def test_a_client_reads_what_was_written_but_for_the_kind_of_line_ends(data, name, id):
    stream = ServerSentEvent(data, name, id).encode()
    assert dispatched(stream) == [(name, re.sub("\r\n|\r", "\n", data), id)]


@given(st.lists(texts, max_size=5))
def test_events_one_after_another_stay_apart(values):
    stream = HEARTBEAT.join(ServerSentEvent(data).encode() for data in values)
    read = [data for _, data, _ in dispatched(stream)]
    assert read == [re.sub("\r\n|\r", "\n", data) for data in values]


def test_a_heartbeat_is_no_event():
    assert dispatched(HEARTBEAT * 3) == []


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0"])
def test_what_would_break_the_stream_cannot_be_a_name_or_an_id(value):
    with pytest.raises(ValueError, match="name or id"):
        ServerSentEvent("", name=value)
    with pytest.raises(ValueError, match="name or id"):
        ServerSentEvent("", id=value)
