import asyncio
import os
from contextlib import aclosing

import pytest

from tailrace.errors import InvalidArguments, ProducerError
from tailrace.intake.producers import producer
from tailrace.intake.producers.running import content_of
from tailrace.intake.producers.speech import (
    MAX_CHARACTERS,
    file_name,
    known_languages,
    known_voices,
    media_type,
    speech,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("engine")]

PRODUCER = producer(media_type=media_type, name=file_name, safe=True)(speech)
SENTENCE = "The quick brown fox jumps over the lazy dog. "


async def whole(content):
    return b"".join([chunk async for chunk in content])


def spoken(**given):
    return whole(PRODUCER.function(**PRODUCER.validate(given)))


def refusals(**given):
    with pytest.raises(InvalidArguments) as caught:
        PRODUCER.validate(given)
    return {error["field"]: error["detail"] for error in caught.value.errors}


# --- arguments ----------------------------------------------------------------------------


def test_all_but_the_text_may_be_left_out():
    assert PRODUCER.validate({"text": "hello"}) == {
        "text": "hello",
        "language": None,
        "voice": None,
        "speed": 1.0,
        "format": "mp3",
    }


def test_the_empty_fields_of_a_form_are_as_if_left_out():
    arguments = PRODUCER.validate({"text": "hello", "language": "", "voice": ""})
    assert (arguments["language"], arguments["voice"]) == (None, None)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000\xa0", "\x00\x01\x1b", " \x07 "])
def test_a_text_with_nothing_in_it_is_refused(text):
    assert set(refusals(text=text)) == {"text"}


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x08", "\x1b", "\x7f", "\x84", "\x9f"])
def test_control_characters_are_dropped(character):
    assert PRODUCER.validate({"text": f"a{character}b"})["text"] == "ab"


@pytest.mark.parametrize("character", ["\t", "\n", "\r", "\x0b", "\x0c", "\x85", "\u200d", "é"])
def test_white_space_and_joiners_stay(character):
    assert PRODUCER.validate({"text": f"a{character}b"})["text"] == f"a{character}b"


def test_a_text_longer_than_the_limit_is_refused():
    assert PRODUCER.validate({"text": "x" * MAX_CHARACTERS})
    assert set(refusals(text="x" * (MAX_CHARACTERS + 1))) == {"text"}


def test_an_unknown_language_is_refused_with_those_there_are():
    detail = refusals(text="hello", language="tlh")["language"]
    assert "there is no language 'tlh'; there are: af, " in detail
    assert {"en,", "ja,", "zh"} <= set(detail.split())


def test_an_unknown_voice_is_refused_with_those_there_are():
    detail = refusals(text="hello", voice="../../en")["voice"]
    assert "there is no voice '../../en'; there are: " in detail
    assert {"f2,", "m3,", "whisper,"} <= set(detail.split())


@pytest.mark.parametrize("speed", [0.24, 4.01, 0, -1, "nan", "inf", "fast"])
def test_a_speed_out_of_bounds_is_refused(speed):
    assert set(refusals(text="hello", speed=speed)) == {"speed"}


def test_an_unknown_format_is_refused():
    assert set(refusals(text="hello", format="ogg")) == {"format"}


def test_the_schema_names_every_language_and_voice():
    fields = PRODUCER.arguments.model_json_schema()["properties"]
    assert fields["language"]["examples"] == list(known_languages())
    assert fields["voice"]["examples"] == list(known_voices())


def test_languages_have_names():
    assert known_languages()["en-us"] == "English (America)"
    assert known_languages()["yue"] == "Chinese (Cantonese)"


@pytest.mark.parametrize(
    ("given", "told"),
    [("mp3", ("audio/mpeg", "speech.mp3")), ("wav", ("audio/wav", "speech.wav"))],
)
def test_type_and_name_follow_the_format(given, told):
    arguments = PRODUCER.validate({"text": "hello", "format": given})
    assert (PRODUCER.media_type_of(arguments), PRODUCER.file_name_of(arguments)) == told


# --- speaking -----------------------------------------------------------------------------


async def test_a_file_of_either_format_begins_as_its_type_does():
    assert (await spoken(text="hello"))[:2] == b"\xff\xf3"
    assert (await spoken(text="hello", format="wav"))[:4] == b"RIFF"


async def test_a_text_says_by_its_script_in_which_language_it_is():
    by_itself = await spoken(text="你好,世界", format="wav")
    assert by_itself == await spoken(text="你好,世界", language="zh-CN", format="wav")
    assert by_itself != await spoken(text="你好,世界", language="en", format="wav")


async def test_more_than_4096_characters_are_spoken_to_the_end():
    text = SENTENCE * 100
    assert len(text) > 4096
    once = len(await spoken(text=SENTENCE, format="wav")) - 44
    assert len(await spoken(text=text, format="wav")) - 44 > 95 * once


async def test_a_run_without_validation_drops_control_characters_too():
    hidden_command = await whole(speech("a\x01150P b", format="wav"))
    assert hidden_command == await whole(speech("a150P b", format="wav"))


async def test_the_first_bytes_come_before_the_speaking_ends(children):
    async with aclosing(speech(SENTENCE * 500)) as content:
        assert await anext(content)
        assert children[0].get_returncode() is None


async def test_two_runs_at_once_do_not_disturb_each_other():
    texts = {"en": SENTENCE * 5, "zh": "今天天气很好。" * 20}
    alone = [await spoken(text=text, language=tag) for tag, text in texts.items()]
    at_once = await asyncio.gather(
        *(spoken(text=text, language=tag) for tag, text in texts.items())
    )
    assert at_once == alone


async def test_a_run_that_is_cancelled_leaves_no_child_and_no_task(children):
    async def run():
        async with aclosing(content_of(speech(SENTENCE * 500))) as content:
            async for _ in content:
                has_begun.set()
                await asyncio.Event().wait()

    has_begun = asyncio.Event()
    tasks = asyncio.all_tasks()
    running = asyncio.create_task(run())
    await has_begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert children[0].get_returncode() == -9
    with pytest.raises(ProcessLookupError):  # reaped: not even a zombie has its id
        os.kill(children[0].get_pid(), 0)
    assert asyncio.all_tasks() == tasks


async def test_a_run_with_an_unknown_voice_is_a_producers_error():
    with pytest.raises(ProducerError, match="no voice 'f99'"):
        await whole(content_of(speech("hello", voice="f99")))
