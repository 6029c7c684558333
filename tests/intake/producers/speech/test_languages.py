import json
from pathlib import Path

import pytest

from tailrace.intake.producers.speech.languages import (
    Language,
    find_language,
    read_languages,
    read_variants,
)

VECTORS = json.loads(
    (Path(__file__).parents[3] / "vectors" / "speech_languages.json").read_text()
)


@pytest.fixture
def data(tmp_path):
    """Data of espeak-ng with a few voices, in its own layout."""
    for folder in ("lang/gmw", "voices/!v"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "en_dict").touch()
    return tmp_path


def write_voice(data, path, *lines):
    (data / "lang" / path).write_text("\n".join(lines) + "\n")


# --- with the data of the extra -----------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_tag_is_spoken_by(engine, vector):
    language = find_language(vector["tag"], engine.languages)
    assert (language and language.voice) == vector["voice"]


def test_no_known_name_of_chinese_is_read_in_english(engine):
    chinese = {tag: each.voice for tag, each in engine.languages.items() if tag[:2] == "zh"}
    assert set(chinese.values()) == {"sit/cmn-Latn-pinyin", "sit/yue"}


# --- with data of our own -----------------------------------------------------------------


def test_a_voice_is_found_by_its_file_name_in_lower_case(data):
    write_voice(data, "gmw/en-US", "name English (America)", "language en-us 2")
    expected = Language("English (America)", "gmw/en-US")
    assert read_languages(data) == {"en-us": expected}


def test_of_two_voices_with_one_tag_the_lower_number_wins(data):
    write_voice(data, "gmw/a", "name A", "language en-a", "language en 3")
    write_voice(data, "gmw/b", "name B", "language en-b", "language en  2")
    assert read_languages(data)["en"].name == "B"


def test_a_tag_without_a_number_counts_as_5(data):
    write_voice(data, "gmw/a", "name A", "language en-a", "language en")
    write_voice(data, "gmw/b", "name B", "language en-b", "language en 4")
    write_voice(data, "gmw/c", "name C", "language en-c", "language en 6")
    assert read_languages(data)["en"].name == "B"
    (data / "lang/gmw/b").unlink()
    assert read_languages(data)["en"].name == "A"


def test_a_file_name_wins_over_any_number(data):
    write_voice(data, "gmw/en", "name Plain", "language en-gb 9")
    write_voice(data, "gmw/en-x", "name Other", "language en 1")
    assert read_languages(data)["en"].name == "Plain"


def test_a_voice_whose_dictionary_is_missing_is_left_out(data):
    write_voice(data, "gmw/fo", "name Faroese", "language fo")
    assert read_languages(data) == {}


def test_the_dictionary_is_that_of_the_first_tag_unless_one_is_named(data):
    write_voice(data, "gmw/en-shaw", "name Shaw", "language en-shaw")
    write_voice(data, "gmw/nb", "name Bokmål", "language nb", "dictionary no")
    assert set(read_languages(data)) == {"en-shaw"}
    (data / "no_dict").touch()
    assert set(read_languages(data)) == {"en-shaw", "nb"}


def test_comments_are_no_part_of_a_line(data):
    write_voice(data, "gmw/en", "name English // see voices.md", "language en 2 // usual")
    assert read_languages(data) == {"en": Language("English", "gmw/en")}


def test_a_file_in_another_encoding_is_read(data):
    (data / "lang/gmw/en").write_bytes(b"name English\nlanguage en\n// \xb3\xff\n")
    assert "en" in read_languages(data)


def test_what_is_no_voice_file_is_passed_over(data):
    write_voice(data, "gmw/README", "nothing to see")
    assert read_languages(data) == {}


def test_variants_are_found_in_lower_case_and_keep_their_own(data):
    for name in ("f2", "Mr serious"):
        (data / "voices/!v" / name).touch()
    assert read_variants(data) == {"f2": "f2", "mr serious": "Mr serious"}
