"""What every dialect must do, tried with each that there is."""

import inspect
from datetime import timedelta

import pytest

from tailrace import errors
from tailrace.protocol import uploads
from tailrace.protocol.fields import Fields
from tailrace.protocol.uploads.commands import Create
from tailrace.protocol.uploads.dialect import RequestHead
from tailrace.protocol.uploads.outcomes import Created, Limits, Progress

DIALECTS = [pytest.param(each, id=each.__name__) for each in uploads._DIALECTS]
LIMITS = Limits(length=10, lifetime=timedelta(hours=1))
# One head that every dialect reads as its own, of a file that comes with its request.
CREATION = RequestHead(
    "POST",
    Fields.of(
        ("Upload-Complete", "?1"),
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Length", "3"),
        ("Content-Type", "application/offset+octet-stream"),
        ("Content-Length", "3"),
    ),
)
ERRORS = [
    errors.MalformedField("Upload-Offset", "x", "a number of bytes"),
    errors.UnsupportedContent("a/b", ["c/d"]),
    errors.OffsetMismatch(1, 2),
    errors.LengthMismatch(1, 2),
    errors.LengthExceeded(1),
    errors.DigestMismatch("sha-256", "00", "11"),
    errors.ContentDigestMismatch("sha-256", "00", "11"),
    errors.PartNotReady(),
    errors.UnsupportedDialect(),
    errors.UploadNotKnown(),
    errors.UploadEnded(),
    errors.UploadComplete(),
    errors.StorageFull(),
    errors.TailraceError(),
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_creation_of_a_whole_file_is_understood(dialect):
    command = dialect.parse(CREATION)
    assert isinstance(command, Create)
    assert command.is_complete or command.ends_at_length
    assert (command.content_length, command.complete_length) == (3, 3)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_creation_is_answered_with_its_place_and_its_link(dialect):
    answer = dialect.answer(Created("/uploads/k", "/l/t", Progress(3, True, 3, LIMITS)))
    fields = Fields.of(*answer.fields)
    assert answer.status == 201
    assert fields.get("Location") == "/uploads/k"
    assert fields.get("Link") == '</l/t>; rel="alternate"'


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_error_can_be_told(dialect, error):
    refusal = dialect.refuse(error, LIMITS)
    Fields.of(*refusal.fields)
    if refusal.problem is not None:
        assert 400 <= refusal.problem.status <= 599
        assert refusal.problem.to_json()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_announcement_can_be_sent(dialect):
    Fields.of(*dialect.announce(LIMITS))


@pytest.mark.parametrize("words", [uploads.dialect, uploads.commands, uploads.outcomes])
def test_the_words_of_the_contract_cannot_change(words):
    values = [
        value
        for value in vars(words).values()
        if inspect.isclass(value) and value.__module__ == words.__name__
    ]
    frozen = [value for value in values if hasattr(value, "__dataclass_params__")]
    assert len(frozen) >= 3
    assert all(value.__dataclass_params__.frozen for value in frozen)
