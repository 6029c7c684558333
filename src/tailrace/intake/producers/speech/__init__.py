"""Speech: text read aloud by espeak-ng, offline, in more than a hundred languages.

Everything but these names needs the extra `tailrace[speech]`, which is looked for when
speech is first asked for:

    text ─► engine ─► child process: espeak ─► PCM ─► encoder ─► MP3 or WAV
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tailrace.errors import ConfigurationError
from tailrace.intake.producers.speech.scripts import language_of

if TYPE_CHECKING:
    from tailrace.intake.producers.speech.engine import Engine

__all__ = ["file_name", "known_languages", "known_voices", "media_type", "speech"]

# A long novel, about nine hours of speech. The whole text is held here and in the child.
MAX_CHARACTERS = 500_000

MEDIA_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}

EXTRA = frozenset({"espeakng_loader", "lameenc"})

# What is neither printed nor white space (espeak-ng takes commands from U+0001), and halves
# of surrogate pairs, which have no UTF-8.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def known_languages() -> dict[str, str]:
    """Return the languages that can be spoken: tag, in lower case, and English name.

    Raises:
        ConfigurationError: the extra is missing.
    """
    spoken = _engine().languages
    return {tag: spoken[tag].name for tag in sorted(spoken)}


def known_voices() -> tuple[str, ...]:
    """Return the names that `voice` may have.

    Raises:
        ConfigurationError: the extra is missing.
    """
    return tuple(_engine().variants.values())


def media_type(arguments: Mapping[str, Any]) -> str:
    """Tell the media type from the arguments of `speech`."""
    return MEDIA_TYPES[arguments["format"]]


def file_name(arguments: Mapping[str, Any]) -> str:
    """Tell the file's name from the arguments of `speech`."""
    return f"speech.{arguments['format']}"


def _speakable(text: str) -> str:
    _engine()  # text is always there: a missing extra is missed before the run
    spoken = _UNSPEAKABLE.sub("", text)
    if not spoken or spoken.isspace():
        raise ValueError("there is nothing in it to speak")
    return spoken


def _checked_language(tag: str | None) -> str | None:
    if not tag:  # a form sends its empty fields, too
        return None
    _engine().language(tag)
    return tag


def _checked_voice(name: str | None) -> str | None:
    return _engine().variant(name) if name else None


def _list_languages(schema: dict[str, Any]) -> None:
    with suppress(ConfigurationError):  # what there is can be listed without the extra
        schema["examples"] = list(known_languages())


def _list_voices(schema: dict[str, Any]) -> None:
    with suppress(ConfigurationError):
        schema["examples"] = list(known_voices())


async def speech(
    text: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_CHARACTERS,
            description="What to say. Markup is read out as it stands.",
        ),
        AfterValidator(_speakable),
    ],
    language: Annotated[
        str | None,
        Field(
            description="A language tag such as en-US or zh. By default the text's script"
            " tells: Chinese, Japanese, Korean, Russian, or else English.",
            json_schema_extra=_list_languages,
        ),
        AfterValidator(_checked_language),
    ] = None,
    voice: Annotated[
        str | None,
        Field(
            description="Another timbre, such as f2 (a woman), m3 (a man) or whisper.",
            json_schema_extra=_list_voices,
        ),
        AfterValidator(_checked_voice),
    ] = None,
    speed: Annotated[
        float, Field(ge=0.25, le=4, description="How fast; 1 is 175 words a minute.")
    ] = 1.0,
    format: Annotated[
        Literal["mp3", "wav"], Field(description="MP3 is about a sixth as long as WAV.")
    ] = "mp3",
) -> AsyncIterator[bytes]:
    """Read a text aloud."""
    spoken = _speakable(text)
    engine = _engine()
    voice_name = engine.voice(language or language_of(spoken), voice)
    async with aclosing(engine.speak(spoken, voice_name, speed, format)) as content:
        async for chunk in content:
            yield chunk


def _engine() -> Engine:
    try:
        from tailrace.intake.producers.speech.engine import installed_engine
    except ModuleNotFoundError as exc:
        if exc.name not in EXTRA:
            raise
        raise ConfigurationError(
            "speech is not installed here: pip install 'tailrace[speech]'"
        ) from exc
    return installed_engine()
