import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import errors
from tailrace.protocol import structured
from tailrace.protocol.fields import Fields
from tailrace.protocol.problems import problem_for
from tailrace.protocol.uploads import commands, dialect, outcomes, rufh
from tailrace.protocol.uploads.commands import Append, ContentDigest, Create
from tailrace.protocol.uploads.dialect import Refusal, RequestHead
from tailrace.protocol.uploads.outcomes import Limits, OffsetRetrieved, Progress

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "uploads_rufh.json").read_text())
PARTIAL_UPLOAD = ("Content-Type", "application/partial-upload")
LIMITS = Limits(length=1000, lifetime=timedelta(days=1))

integers = st.integers(0, dialect.GREATEST_LENGTH)
near_integers = st.one_of(
    integers.map(str),
    st.sampled_from(["-1", "-0", "+1", "1.0", "?1", '"1"', "1, 1", "1;a", "", "9" * 5000]),
)
near_booleans = st.sampled_from(["?0", "?1", "?2", "1", "true", "?1;a=2", "?0, ?0", ""])
near_heads = st.builds(
    lambda method, lines: RequestHead(method, Fields(tuple(lines.items()))),
    st.sampled_from(["POST", "PUT", "PATCH", "HEAD", "GET", "DELETE"]),
    st.fixed_dictionaries(
        {},
        optional={
            "upload-complete": near_booleans,
            "upload-offset": near_integers,
            "upload-length": near_integers,
            "content-length": near_integers,
            "content-type": st.sampled_from(["application/partial-upload", "text/csv", "x"]),
            "transfer-encoding": st.just("chunked"),
        },
    ),
)
limits = st.builds(
    Limits,
    st.none() | st.integers(1, 2**63),
    st.none() | st.timedeltas(timedelta(days=-1), timedelta(days=1)),
)
progresses = st.builds(Progress, integers, st.booleans(), st.none() | integers, limits)


def vectors(key):
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


def head_of(vector):
    lines = map(tuple, vector["fields"])
    return RequestHead(vector["method"], Fields.of(*lines), vector.get("target_name"))


def command_of(told):
    told = dict(told)
    verb = getattr(commands, told.pop("verb"))
    if "digests" in told:
        told["digests"] = {name: bytes.fromhex(it) for name, it in told["digests"].items()}
    if "content_digests" in told:
        told["content_digests"] = tuple(
            ContentDigest(name, bytes.fromhex(it)) for name, it in told["content_digests"]
        )
    return verb(**told)


def outcome_of(vector):
    arguments = {key: vector[key] for key in ("location", "link") if key in vector}
    if "progress" in vector:
        told = dict(vector["progress"])
        lifetime = told.pop("lifetime")
        limits = Limits(
            told.pop("length"), None if lifetime is None else timedelta(seconds=lifetime)
        )
        arguments["progress"] = Progress(**told, limits=limits)
    return getattr(outcomes, vector["outcome"])(**arguments)


def integer(value):
    return structured.parse_item(value).value


# --- requests -------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("command"))
def test_a_request_asks_for(vector):
    head = head_of(vector)
    assert rufh.recognizes(head)
    assert rufh.parse(head) == command_of(vector["command"])


@pytest.mark.parametrize("vector", vectors("error"))
def test_a_request_that_breaks_a_rule_is_refused(vector):
    head = head_of(vector)
    assert rufh.recognizes(head)
    with pytest.raises(getattr(errors, vector["error"])) as raised:
        rufh.parse(head)
    assert type(raised.value).__name__ == vector["error"]
    assert vector["says"] in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Upload-Complete", "yes"),),
        (("Upload-Complete", "1"),),
        (("Upload-Complete", "?1"), ("Upload-Complete", "?1")),
        (("Upload-Offset", "-1"),),
        (("Upload-Length", "5"),),
        (("Content-Type", "image/png"),),
    ],
)
def test_a_post_without_a_valid_mark_is_not_in_this_dialect(fields):
    assert not rufh.recognizes(RequestHead("POST", Fields.of(*fields)))


@given(near_heads)
def test_whatever_is_asked_the_lengths_of_a_command_agree(head):
    try:
        command = rufh.parse(head)
    except errors.ProtocolError:
        return
    if not isinstance(command, Create | Append):
        return
    offset = command.offset if isinstance(command, Append) else 0
    assert offset >= 0
    if command.content_length is None:
        return
    stop = offset + command.content_length
    if command.is_complete:
        assert command.complete_length == stop
    elif command.complete_length is not None:
        assert command.complete_length >= stop


# --- responses ------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("outcome"))
def test_an_outcome_is_answered(vector):
    answer = rufh.answer(outcome_of(vector))
    assert answer.status == vector["status"]
    assert sorted(answer.fields) == sorted(map(tuple, vector["answer"]))


@given(progresses)
def test_an_offset_that_was_told_can_be_used_to_append(progress):
    told = dict(rufh.answer(OffsetRetrieved(progress)).fields)
    head = RequestHead(
        "PATCH",
        Fields.of(
            PARTIAL_UPLOAD, ("Upload-Offset", told["Upload-Offset"]), ("Upload-Complete", "?0")
        ),
    )
    assert rufh.parse(head) == Append(progress.offset, None, False, None)


@given(limits)
def test_limits_are_told_as_a_dictionary_of_integers_that_is_never_empty(limits):
    ((name, value),) = rufh.announce(limits)
    members = structured.parse_dictionary(value)
    assert name == "Upload-Limit"
    assert members
    assert all(type(item.value) is int and item.value >= 0 for item in members.values())


# --- refusals -------------------------------------------------------------------------------


def test_a_wrong_offset_is_refused_with_the_right_one():
    error = errors.OffsetMismatch(expected=12500000, received=25000000)
    refusal = rufh.refuse(error, LIMITS)
    assert dict(refusal.fields) == {"Upload-Offset": "12500000", "Upload-Complete": "?0"}
    assert refusal.problem.status == 409
    assert refusal.problem.type == (
        "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
    )
    assert refusal.problem.extensions == {
        "expected-offset": 12500000,
        "provided-offset": 25000000,
    }
    assert refusal.problem.detail == str(error)


def test_inconsistent_lengths_have_a_problem_type_of_the_draft():
    refusal = rufh.refuse(errors.LengthMismatch(expected=100, received=99), LIMITS)
    assert refusal.problem.status == 400
    assert refusal.problem.type == (
        "https://iana.org/assignments/http-problem-types#inconsistent-upload-length"
    )
    assert dict(refusal.fields) == {"Upload-Complete": "?0"}


def test_a_file_over_the_limit_is_refused_with_the_limits():
    error = errors.LengthExceeded(1000, 2000)
    assert rufh.refuse(error, LIMITS) == Refusal(
        None, (("Upload-Complete", "?0"), ("Upload-Limit", "max-size=1000, max-age=86400"))
    )
    assert problem_for(error).status == 413


def test_a_wrong_patch_document_is_refused_with_the_right_media_type():
    error = errors.UnsupportedContent("text/plain", ["application/partial-upload"])
    assert dict(rufh.refuse(error, LIMITS).fields) == {
        "Upload-Complete": "?0",
        "Accept-Patch": "application/partial-upload",
    }


def test_a_coded_creation_is_no_wrong_patch_document():
    head = RequestHead("POST", Fields.of(("Upload-Complete", "?0"), ("Content-Encoding", "br")))
    with pytest.raises(errors.UnsupportedContent) as raised:
        rufh.parse(head)
    assert dict(rufh.refuse(raised.value, LIMITS).fields) == {"Upload-Complete": "?0"}


def test_a_whole_with_a_wrong_digest_leaves_nothing_to_resume():
    error = errors.DigestMismatch("sha-256", "00", "11")
    assert rufh.refuse(error, LIMITS) == Refusal(None, (("Upload-Complete", "?1"),))


def test_content_with_a_wrong_digest_can_be_sent_again():
    error = errors.ContentDigestMismatch("sha-256", "00", "11")
    assert rufh.refuse(error, LIMITS) == Refusal(None, (("Upload-Complete", "?0"),))


def test_an_append_to_what_is_complete_has_a_problem_type_of_the_draft():
    refusal = rufh.refuse(errors.UploadComplete("it is complete"), LIMITS)
    assert refusal.problem.status == 400
    assert refusal.problem.type == (
        "https://iana.org/assignments/http-problem-types#completed-upload"
    )
    assert dict(refusal.fields) == {"Upload-Complete": "?0"}


@pytest.mark.parametrize(
    "error",
    [errors.UploadNotKnown(), errors.UploadEnded(), errors.BlobBusy(), errors.StorageFull()],
    ids=lambda error: type(error).__name__,
)
def test_of_any_other_error_it_is_only_said_that_it_is_about_the_upload(error):
    assert rufh.refuse(error, LIMITS) == Refusal(None, (("Upload-Complete", "?0"),))
