import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import LengthExceeded, MalformedField
from tailrace.protocol.fields import Fields
from tailrace.protocol.uploads.dialect import GREATEST_LENGTH, RequestHead
from tailrace.protocol.uploads.metadata import read_content_length, read_creation

lengths = st.integers(0, GREATEST_LENGTH)
# Near a numeral, and not one: what int() would take all the same.
spoiled_numerals = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["+", "-", "0x", "\xa0", "_"]), lengths),
    st.builds("{}{}".format, lengths, st.sampled_from(["_0", ".0", "e1", "\xa0", "\x0c", ","])),
    lengths.map(lambda length: f"{length}".translate({ord("1"): "¹", ord("2"): "²"})).filter(
        lambda text: not text.isascii()
    ),
    st.just(""),
)
dispositions = st.builds(
    'inline; filename="{}"'.format,
    st.text(st.sampled_from('aé.€ /\\:%"\x01\x7f'), max_size=300),
)


def read(value):
    return read_content_length(Fields((("content-length", value),)))


@given(lengths, st.integers(0, 5000))
def test_a_numeral_is_the_number_it_says(length, zeros):
    assert read("0" * zeros + str(length)) == length


@given(spoiled_numerals)
def test_what_is_not_only_digits_is_no_length(value):
    with pytest.raises(MalformedField, match="Content-Length"):
        read(value)


@pytest.mark.parametrize("digits", [16, 20, 641, 5000])
def test_a_length_that_no_file_has_is_over_the_limit(digits):
    with pytest.raises(LengthExceeded) as raised:
        read("9" * digits)
    assert raised.value.limit == GREATEST_LENGTH


def test_without_the_field_only_the_end_of_the_content_tells():
    assert read_content_length(Fields()) is None


@given(dispositions, st.one_of(st.none(), st.text(st.sampled_from("a/.\\\x00€"), max_size=9)))
def test_whatever_is_sent_a_file_has_a_safe_name(disposition, target_name):
    fields = Fields.from_raw([(b"Content-Disposition", disposition.encode())])
    head = RequestHead("POST", fields, target_name)
    try:
        creation = read_creation(
            head, is_complete=True, complete_length=None, content_length=None
        )
    except MalformedField:
        return
    assert creation.name not in ("", ".", "..")
    assert not set(creation.name) & set("/\\\x00\x01\x7f")
    assert len(creation.name.encode()) <= 255
