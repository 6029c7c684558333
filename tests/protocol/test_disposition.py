import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.protocol.disposition import (
    ContentDisposition,
    FormPart,
    is_active_content,
    safe_name,
)
from tailrace.protocol.fields import Fields

FOLDER = Path(__file__).parents[1] / "vectors"

scalars = st.characters(exclude_categories=["Cs"])
# Shaped like names, and like all that is wrong with names.
near_names = st.lists(
    st.one_of(
        st.sampled_from(
            ["/", "\\", ".", "..", " ", "\u3000", "\u2000", "\0", "\ud800", "\u202e"]
        ),
        st.sampled_from(
            ["CON", "nul", "COM1", "$", ".txt", ".tar.gz", "<", "\u0338", "e\u0301"]
        ),
        st.sampled_from(["a", " ", ".", "é", "日", "🌊"]).map(
            lambda character: character * 250
        ),
        st.characters(),
    )
).map("".join)
# WHATWG HTML escapes a quote and line ends in these, and nothing else. So a name that looks
# escaped, or has a backslash before a quote or another one, cannot be told from others.
form_texts = st.text(scalars).filter(lambda text: not re.search(r"%(0D|0A|22)|\\", text))


def vectors(file_name, *keys):
    chosen = json.loads((FOLDER / file_name).read_text())
    chosen = [vector for vector in chosen if all(key in vector for key in keys)]
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector["name"])


@vectors("disposition.json", "kind")
def test_a_disposition_is_read(vector):
    expected = ContentDisposition(vector["kind"], vector["filename"])
    assert ContentDisposition.from_field(vector["value"]) == expected


@vectors("disposition.json", "broken")
def test_a_broken_disposition_is_none(vector):
    assert ContentDisposition.from_field(vector["value"]) is None


@vectors("disposition_fields.json")
def test_a_disposition_is_written(vector):
    disposition = ContentDisposition(vector["kind"], vector["filename"])
    assert disposition.to_field() == vector["value"]


@vectors("form_parts.json")
def test_a_part_of_a_form_is_read(vector):
    expected = vector["part"] and FormPart(*vector["part"])
    assert FormPart.from_field(vector["value"]) == expected


def test_a_value_that_was_decoded_before_is_read_as_well():
    assert FormPart.from_field('form-data; name="日"; filename="本.txt"') == FormPart(
        "日", "本.txt"
    )
    disposition = ContentDisposition.from_field('inline; filename="本.txt"')
    assert disposition == ContentDisposition("inline", "本.txt")


@vectors("safe_names.json")
def test_a_name_is_made_safe(vector):
    assert safe_name(vector["candidate"], "default") == vector["safe"]


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ("a" * 300, "a" * 255),
        ("a" * 300 + ".txt", "a" * 251 + ".txt"),
        ("é" * 200, "é" * 127),
        ("日" * 100 + ".tar.gz", "日" * 84 + ".gz"),
        ("a" * 253 + "🌊", "a" * 253),
        ("a" * 251 + "." + "b" * 100, "a" * 251 + ".bbb"),
        ("a." + "b" * 300, "a." + "b" * 253),
        ("a" * 254 + " b", "a" * 254),
        ("CON" + " " * 300 + "b", "_CON"),
        ("CON" + " " * 300 + ".txt", "_CON" + " " * 247 + ".txt"),
    ],
)
def test_a_long_name_is_cut_before_its_extension_and_between_characters(candidate, expected):
    assert safe_name(candidate, "default") == expected


def test_the_default_is_given_as_it_is():
    assert safe_name("", "/") == "/"


@vectors("active_content.json")
def test_active_content_is_known(vector):
    assert is_active_content(vector["media_type"]) is vector["is_active"]


@given(
    st.builds(
        ContentDisposition,
        st.sampled_from(["inline", "attachment"]),
        st.none() | st.text(scalars, min_size=1),
    )
)
@example(ContentDisposition("attachment", "%41 ü"))
@example(ContentDisposition("attachment", "\\\"';*\t"))
@example(ContentDisposition("inline", "Ã©"))
def test_a_disposition_that_is_written_is_read_back(disposition):
    assert ContentDisposition.from_field(disposition.to_field()) == disposition


@given(st.text(st.characters(), min_size=1))
def test_any_disposition_can_be_sent(filename):
    value = ContentDisposition("attachment", filename).to_field()
    assert value.isascii()
    assert Fields.of(("Content-Disposition", value)).get("Content-Disposition") == value


@given(form_texts, form_texts)
def test_a_part_as_a_browser_writes_it_is_read_back(name, filename):
    def escaped(text):
        return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

    value = f'form-data; name="{escaped(name)}"; filename="{escaped(filename)}"'
    octets = value.encode().decode("latin-1")
    assert FormPart.from_field(octets) == FormPart(name, filename)


@given(near_names)
@example("CON" + " " * 252 + ".a")
@example("\u0338" + "/" + "<\u0338")
def test_a_safe_name_stays_as_it_is(candidate):
    name = safe_name(candidate, "default")
    assert safe_name(name, "another") == name


@given(near_names)
def test_a_safe_name_is_one_segment_that_may_be_stored_shown_and_sent(candidate):
    name = safe_name(candidate, "default")
    assert name not in ("", ".", "..")
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert len(name.encode()) <= 255
    assert not set(name) & set('/\\<>:"|?*')
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
    bidirectional = [unicodedata.bidirectional(character) for character in name]
    assert not set(bidirectional) & {
        "LRE",
        "RLE",
        "PDF",
        "LRO",
        "RLO",
        "LRI",
        "RLI",
        "FSI",
        "PDI",
    }
    assert unicodedata.is_normalized("NFC", name)
    assert name.upper().partition(".")[0].rstrip(" ") not in ("CON", "NUL", "COM1")


@given(st.text("abc日🌊", min_size=1, max_size=400), st.text("abc", min_size=1, max_size=20))
def test_the_extension_is_kept(stem, extension):
    name = safe_name(f"{stem}.{extension}", "default")
    assert name.endswith(f".{extension}")
    assert stem.startswith(name.removesuffix(f".{extension}"))


@pytest.mark.parametrize("piece", [" ", ".", "a ", '"', "\\", "%", "e\u0301", ";"])
def test_nothing_takes_more_than_linear_time(piece):
    # Quadratic time would be ten thousand million steps.
    safe_name(piece * 100_000 + "b", "default")
    ContentDisposition.from_field('attachment; filename="' + piece * 100_000)
    ContentDisposition.from_field("attachment; filename*=UTF-8''" + piece * 100_000)
    FormPart.from_field('form-data; name="' + piece * 100_000)
