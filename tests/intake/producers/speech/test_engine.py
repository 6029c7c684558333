import asyncio
import re
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import ProducerError

pytestmark = pytest.mark.anyio

# Chao's numbers for the four tones of Mandarin.
FIRST, SECOND, THIRD, FOURTH = "55", "35", "214", "51"

SENTENCE = "The quick brown fox jumps over the lazy dog. "


async def whole(content):
    return b"".join([chunk async for chunk in content])


def tones(phonemes):
    return re.findall(r"\d+", phonemes)


# --- which voice really speaks a language -------------------------------------------------


@pytest.mark.parametrize("tag", ["zh", "zh-CN", "zh-Hans", "zh-TW", "cmn"])
def test_mandarin_is_spoken_in_mandarin_syllables(engine, phonemes, tag):
    spoken = phonemes(engine.voice(tag, None), "你好,世界")  # nǐ hǎo, shì jiè
    assert "(en)" not in spoken
    assert tones(spoken) == [THIRD, THIRD, FOURTH, FOURTH]
    syllables = re.sub(r"[\d'|_ ]", "", spoken)
    assert syllables == "niXAus.i.tS;iE"  # [ni xau ʂɻ̩ tɕjɛ] in espeak-ng's notation


def test_a_mandarin_voice_knows_the_tones(engine, phonemes):
    spoken = phonemes(engine.voice("zh", None), "中 国 好 大")  # zhōng guó hǎo dà
    assert tones(spoken) == [FIRST, SECOND, THIRD, FOURTH]


@pytest.mark.parametrize("tag", ["yue", "zh-HK", "zh-Hant-HK"])
def test_cantonese_is_spoken_in_cantonese_syllables(engine, phonemes, tag):
    spoken = phonemes(engine.voice(tag, None), "你好")
    assert re.sub(r"['|_ ]", "", spoken) == "nei5hou2"  # as in Jyutping


@pytest.mark.parametrize("tag", ["zh", "yue"])
def test_english_words_in_chinese_are_spoken_in_english(engine, phonemes, tag):
    spoken = phonemes(engine.voice(tag, None), "我用 Python 写 code")
    assert re.findall(r"\(en\)([^(|_]+)", spoken) == ["p'aIT@n", "k'oUd"]
    assert len(tones(re.sub(r"\(en\)[^(]*", "", spoken))) == 3  # 我, 用, 写


def test_english_is_spoken_in_english(engine, phonemes):
    assert phonemes(engine.voice("en", None), "thing") == "T'IN"
    assert phonemes(engine.voice("en-US", None), "thing") == "T'IN"


def test_american_and_british_differ(engine, phonemes):
    assert phonemes(engine.voice("en-GB", None), "schedule").startswith("S'E")
    assert phonemes(engine.voice("en-US", None), "schedule").startswith("sk'E")


def test_markup_is_not_interpreted(engine, phonemes):
    assert "br'eIk" in phonemes(engine.voice("en", None), '<break time="3s"/>')


def test_phonemes_in_a_text_are_not_interpreted(engine, phonemes):
    assert "d'i:" in phonemes(engine.voice("en", None), "[[D]]")  # the letter, not [ð]


def test_every_language_can_be_heard(engine, loudness):
    voices = sorted({language.voice for language in engine.languages.values()})
    peaks = loudness("a 1", voices)
    assert [voice for voice in voices if peaks[voice] < 1000] == []


def test_every_variant_can_be_heard(engine, loudness):
    voices = [engine.voice("en", variant) for variant in engine.variants]
    peaks = loudness("hello", voices)
    assert [voice for voice in voices if peaks[voice] < 1000] == []


# --- names --------------------------------------------------------------------------------


def test_a_variant_is_added_to_the_voice(engine):
    assert engine.voice("en-US", "F2") == "gmw/en-US+f2"


def test_a_variant_changes_the_voice(engine):
    async def spoken(variant):
        return await whole(engine.synthesize("hello", engine.voice("en", variant), 1.0))

    assert asyncio.run(spoken("f2")) != asyncio.run(spoken(None))


def test_an_unknown_language_lists_those_there_are(engine):
    with pytest.raises(ValueError, match=r"no language 'tlh'; there are: af, .*en, .*zh$"):
        engine.voice("tlh", None)


@pytest.mark.parametrize("name", ["f99", "../f2", "f2/", "!v/f2", ""])
def test_an_unknown_variant_lists_those_there_are(engine, name):
    with pytest.raises(ValueError, match=r"no voice .*; there are: .*f2, .*m3, .*whisper"):
        engine.voice("en", name)


# --- speaking -----------------------------------------------------------------------------


async def test_pcm_comes_while_the_child_still_speaks(engine, children):
    async with aclosing(engine.synthesize(SENTENCE * 500, "gmw/en", 1.0)) as pcm:
        assert await anext(pcm)
        assert children[0].get_returncode() is None


async def test_a_failure_tells_what_espeak_said(engine, tmp_path):
    broken = replace(engine, data=tmp_path)
    with pytest.raises(ProducerError, match="espeak-ng cannot use its data"):
        await whole(broken.speak("hello", "gmw/en", 1.0, "wav"))


async def test_nothing_is_yielded_before_a_failure(engine, tmp_path):
    broken = replace(engine, library=tmp_path / "libespeak-ng.so")
    content = broken.speak("hello", "gmw/en", 1.0, "wav")
    with pytest.raises(ProducerError):
        await anext(content)


@pytest.mark.parametrize("file_format", ["mp3", "wav"])
async def test_closing_the_file_kills_the_child(engine, children, file_format):
    content = engine.speak(SENTENCE * 500, "gmw/en", 1.0, file_format)
    await anext(content)
    assert children[0].get_returncode() is None
    await content.aclose()
    assert children[0].get_returncode() == -9


@given(st.lists(st.binary(max_size=5), max_size=10))
def test_pcm_is_cut_between_samples_only(blocks):
    pytest.importorskip("espeakng_loader")
    from tailrace.intake.producers.speech.engine import whole_samples

    async def source():
        for block in blocks:
            yield block

    async def cut():
        return [block async for block in whole_samples(source())]

    pcm = b"".join(blocks)
    pieces = asyncio.run(cut())
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) == pcm[: len(pcm) - len(pcm) % 2]
