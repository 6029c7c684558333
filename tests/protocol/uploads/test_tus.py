import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import errors
from tailrace.protocol.dates import parse_date
from tailrace.protocol.fields import Fields
from tailrace.protocol.problems import problem_for
from tailrace.protocol.uploads import commands, outcomes, tus
from tailrace.protocol.uploads.commands import Append, Concatenate, ContentDigest, Create
from tailrace.protocol.uploads.dialect import GREATEST_LENGTH, Refusal, RequestHead
from tailrace.protocol.uploads.outcomes import Limits, OffsetRetrieved, Progress

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "uploads_tus.json").read_text())
LIMITS = Limits(length=1000, lifetime=timedelta(days=1))
VERSION = ("Tus-Resumable", "1.0.0")

integers = st.integers(0, GREATEST_LENGTH)
near_integers = st.one_of(
    integers.map(str), st.sampled_from(["-1", "+1", "1.0", "1, 1", "", "²", "9" * 5000])
)
near_heads = st.builds(
    lambda method, lines: RequestHead(
        method, Fields((("tus-resumable", "1.0.0"), *lines.items()))
    ),
    st.sampled_from(["POST", "PATCH", "HEAD", "GET", "DELETE"]),
    st.fixed_dictionaries(
        {},
        optional={
            "upload-length": near_integers,
            "upload-defer-length": st.sampled_from(["1", "2", ""]),
            "upload-offset": near_integers,
            "upload-metadata": st.lists(
                st.sampled_from(["filename YQ==", "name", "name Li4vYQ==", "filetype dGV4dC94"])
            ).map(",".join),
            "upload-checksum": st.sampled_from(
                ["sha1 ", "md5 1B2M2Y8AsgTpgAmY7PhCfg==", "x y"]
            ),
            "upload-concat": st.sampled_from(["partial", "final;", "final;/u/a /u/b", "x"]),
            "content-length": near_integers,
            "content-type": st.sampled_from(["application/offset+octet-stream", "text/csv"]),
            "transfer-encoding": st.just("chunked"),
        },
    ),
)
progresses = st.builds(
    Progress,
    integers,
    st.booleans(),
    st.none() | integers,
    st.just(LIMITS),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([(), (("Upload-Metadata", "a YQ=="), ("Upload-Concat", "partial"))]),
)


def vectors(key):
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


def head_of(vector):
    lines = [(name.encode(), value.encode()) for name, value in vector["fields"]]
    return RequestHead(vector["method"], Fields.from_raw(lines))


def command_of(told):
    told = dict(told)
    verb = getattr(commands, told.pop("verb"))
    if "digests" in told:
        told["digests"] = {name: bytes.fromhex(it) for name, it in told["digests"].items()}
    if "content_digests" in told:
        told["content_digests"] = tuple(
            ContentDigest(name, bytes.fromhex(it)) for name, it in told["content_digests"]
        )
    if "notes" in told:
        told["notes"] = tuple(map(tuple, told["notes"]))
    if "parts" in told:
        told["parts"] = tuple(told["parts"])
    return verb(**told)


def outcome_of(vector):
    arguments = {key: vector[key] for key in ("location", "link") if key in vector}
    if "progress" in vector:
        told = dict(vector["progress"])
        if told["expires_at"] is not None:
            told["expires_at"] = datetime.fromisoformat(told["expires_at"])
        told["notes"] = tuple(map(tuple, told["notes"]))
        arguments["progress"] = Progress(**told, limits=LIMITS)
    return getattr(outcomes, vector["outcome"])(**arguments)


# --- requests -------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("command"))
def test_a_request_asks_for(vector):
    head = head_of(vector)
    assert tus.recognizes(head)
    assert tus.parse(head) == command_of(vector["command"])


@pytest.mark.parametrize("vector", vectors("error"))
def test_a_request_that_breaks_a_rule_is_refused(vector):
    head = head_of(vector)
    assert tus.recognizes(head)
    with pytest.raises(getattr(errors, vector["error"])) as raised:
        tus.parse(head)
    assert type(raised.value).__name__ == vector["error"]
    assert vector["says"] in str(raised.value)


@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "GET", "DELETE"])
def test_a_request_without_the_mark_is_not_in_this_dialect(method):
    assert not tus.recognizes(RequestHead(method, Fields.of(("Upload-Offset", "0"))))


@pytest.mark.parametrize("method", ["PUT", "OPTIONS"])
def test_a_method_that_tus_does_not_have_is_not_in_this_dialect(method):
    assert not tus.recognizes(RequestHead(method, Fields.of(VERSION)))


@given(near_heads)
def test_whatever_is_asked_is_a_command_that_holds_together_or_a_broken_rule(head):
    try:
        command = tus.parse(head)
    except errors.ProtocolError:
        return
    match command:
        case Create():
            assert command.name not in ("", ".", "..")
            assert "/" not in command.name
            assert command.is_partial != command.ends_at_length
            if command.complete_length is not None and command.content_length is not None:
                assert command.content_length <= command.complete_length
        case Concatenate():
            assert command.parts
            assert all(command.parts)
        case Append():
            assert 0 <= command.offset <= GREATEST_LENGTH


# --- responses ------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("outcome"))
def test_an_outcome_is_answered(vector):
    answer = tus.answer(outcome_of(vector))
    assert answer.status == vector["status"]
    assert sorted(answer.fields) == sorted(map(tuple, vector["answer"]))


@given(progresses)
def test_an_offset_that_was_told_can_be_used_to_append(progress):
    told = dict(tus.answer(OffsetRetrieved(progress)).fields)
    head = RequestHead(
        "PATCH",
        Fields.of(
            VERSION,
            ("Content-Type", "application/offset+octet-stream"),
            ("Upload-Offset", told["Upload-Offset"]),
        ),
    )
    assert tus.parse(head) == Append(progress.offset, None, False, None, ends_at_length=True)


@given(progresses)
def test_either_the_length_is_told_or_that_it_is_deferred(progress):
    told = dict(tus.answer(OffsetRetrieved(progress)).fields)
    assert ("Upload-Length" in told) != ("Upload-Defer-Length" in told)


@given(progresses)
def test_an_expiry_is_told_as_a_date(progress):
    told = dict(tus.answer(outcomes.Appended(progress)).fields)
    if progress.expires_at is None:
        assert "Upload-Expires" not in told
    else:
        assert parse_date(told["Upload-Expires"]) == progress.expires_at.replace(microsecond=0)


def test_nothing_is_told_early():
    with pytest.raises(ValueError, match="interim"):
        tus.answer(outcomes.Begun("/uploads/k", "/l/t", Progress(0, False, None, LIMITS)))


# --- refusals -------------------------------------------------------------------------------


def test_another_version_is_refused_with_those_that_are_spoken():
    refusal = tus.refuse(errors.UnsupportedDialect("no"), LIMITS)
    assert refusal.problem.status == 412
    assert dict(refusal.fields) == {"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0"}


def test_content_with_a_wrong_checksum_has_a_status_of_its_own():
    refusal = tus.refuse(errors.ContentDigestMismatch("sha-1", "00", "11"), LIMITS)
    assert refusal.problem.status == 460
    assert refusal.fields == (VERSION,)


def test_a_file_that_is_not_what_its_digest_says_is_told_by_the_general_table():
    error = errors.DigestMismatch("sha-256", "00", "11")
    assert tus.refuse(error, LIMITS) == Refusal(None, (VERSION,))


def test_an_append_to_what_is_whole_is_forbidden():
    assert tus.refuse(errors.UploadComplete("x"), LIMITS).problem.status == 403


def test_a_wrong_offset_is_refused_with_the_right_one():
    error = errors.OffsetMismatch(expected=70, received=0)
    assert tus.refuse(error, LIMITS) == Refusal(None, (VERSION, ("Upload-Offset", "70")))
    assert problem_for(error).status == 409


def test_a_file_over_the_limit_is_refused_with_the_limit():
    error = errors.LengthExceeded(1000, 2000)
    assert tus.refuse(error, LIMITS) == Refusal(None, (VERSION, ("Tus-Max-Size", "1000")))
    assert problem_for(error).status == 413


def test_a_wrong_media_type_is_refused_with_the_right_one():
    head = RequestHead("PATCH", Fields.of(VERSION, ("Upload-Offset", "0")))
    with pytest.raises(errors.UnsupportedContent) as raised:
        tus.parse(head)
    fields = dict(tus.refuse(raised.value, LIMITS).fields)
    assert fields["Accept-Patch"] == "application/offset+octet-stream"
    assert problem_for(raised.value).status == 415


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UploadNotKnown(), 404),
        (errors.UploadEnded(), 410),
        (errors.BlobBusy(), 423),
        (errors.StorageFull(), 507),
        (errors.PartNotReady(), 400),
    ],
    ids=lambda given: type(given).__name__,
)
def test_any_other_error_is_told_by_the_general_table_and_marked(error, status):
    assert tus.refuse(error, LIMITS) == Refusal(None, (VERSION,))
    assert problem_for(error).status == status


# --- announcements --------------------------------------------------------------------------


def test_what_is_spoken_is_announced():
    assert dict(tus.announce(LIMITS)) == {
        "Tus-Resumable": "1.0.0",
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,creation-with-upload,creation-defer-length,checksum,"
        "expiration,concatenation,termination",
        "Tus-Checksum-Algorithm": "sha1,sha256,sha512,md5",
        "Tus-Max-Size": "1000",
    }


def test_without_a_limit_none_is_announced():
    assert "Tus-Max-Size" not in dict(tus.announce(Limits(None, None)))
