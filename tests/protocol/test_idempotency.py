import pytest

from tailrace.errors import MalformedField
from tailrace.protocol.fields import Fields
from tailrace.protocol.idempotency import parse_key


@pytest.mark.parametrize(
    ("value", "key"),
    [
        # draft-ietf-httpapi-idempotency-key-header §2.1, its own example
        ('"8e03978e-40d5-43e8-bc93-6894a57f9324"', "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (r'"with spaces and \" quotes"', 'with spaces and " quotes'),
        ('"a";parameter=1', "a"),
        ("8e03978e-40d5", "8e03978e-40d5"),  # as many clients send it
        ("x" * 255, "x" * 255),
    ],
)
def test_a_key_is_a_string_with_quotes_or_without(value, key):
    assert parse_key(Fields.of(("Idempotency-Key", value))) == key


def test_without_the_field_there_is_no_key():
    assert parse_key(Fields()) is None


@pytest.mark.parametrize("value", ["", '""', '"', '"a" "b"', "a b", "é", "x" * 256, "(1 2)"])
def test_what_is_no_key_is_refused(value):
    with pytest.raises(MalformedField, match="Idempotency-Key"):
        parse_key(Fields.of(("Idempotency-Key", value)))
