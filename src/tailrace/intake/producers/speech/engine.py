"""Our side of espeak-ng: finds it, knows its voices, and has it speak into an encoder.

Needs the extra `tailrace[speech]`; only the door imports this, when speech is asked for.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader

from tailrace.errors import ProducerError
from tailrace.intake.producers.child import output_of
from tailrace.intake.producers.speech import espeak
from tailrace.intake.producers.speech.encoders import ENCODERS
from tailrace.intake.producers.speech.languages import (
    Language,
    find_language,
    read_languages,
    read_variants,
)

# The first block comes in milliseconds, a minute of speech in less than a tenth of a second.
# A child that is silent for so long hangs, or the machine stands still.
STALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Engine:
    """An espeak-ng on this machine."""

    library: Path
    data: Path
    languages: Mapping[str, Language]
    """By tag, in lower case."""
    variants: Mapping[str, str]
    """By name, in lower case: the name as espeak-ng writes it."""

    def language(self, tag: str) -> Language:
        """Return the language that is spoken for a tag.

        Raises:
            ValueError: no part of the tag is known.
        """
        language = find_language(tag, self.languages)
        if language is None:
            known = ", ".join(sorted(tag for tag in self.languages if "-" not in tag))
            raise ValueError(f"there is no language {tag!r}; there are: {known}")
        return language

    def variant(self, name: str) -> str:
        """Return a variant's name as espeak-ng writes it.

        Raises:
            ValueError: there is no such variant.
        """
        variant = self.variants.get(name.strip().lower())
        if variant is None:
            known = ", ".join(self.variants.values())
            raise ValueError(f"there is no voice {name!r}; there are: {known}")
        return variant

    def voice(self, language: str, variant: str | None) -> str:
        """Return espeak-ng's name of the voice for a language's tag and a variant's name.

        Raises:
            ValueError: one of them is not known.
        """
        voice = self.language(language).voice
        return voice if variant is None else f"{voice}+{self.variant(variant)}"

    async def speak(
        self, text: str, voice: str, speed: float, file_format: str
    ) -> AsyncGenerator[bytes]:
        """Yield a file of text spoken, each piece as soon as it is made.

        Raises:
            ProducerError: espeak-ng failed; its own words are the message.
        """
        encoder = ENCODERS[file_format](espeak.SAMPLE_RATE)
        blocks = 0
        async with aclosing(self.synthesize(text, voice, speed)) as pcm:
            async for block in pcm:
                blocks += 1
                # A block may be seconds of speech, milliseconds of work; LAME frees the GIL.
                if chunk := await asyncio.to_thread(encoder.encode, block):
                    yield chunk
        if not blocks:
            raise ProducerError("espeak-ng found nothing to speak in the text")
        if rest := encoder.finish():
            yield rest

    async def synthesize(self, text: str, voice: str, speed: float) -> AsyncGenerator[bytes]:
        """Yield text spoken as PCM: 16-bit little-endian, mono, of `espeak.SAMPLE_RATE`."""
        command = (
            *(sys.executable, "-I", "-S", espeak.__file__),
            *(str(self.library), str(self.data), voice, str(speed)),
        )
        output = output_of(command, text.encode(), stall_seconds=STALL_SECONDS)
        async with aclosing(output):
            async for block in whole_samples(output):
                yield block


@functools.cache
def installed_engine() -> Engine:
    """Return the espeak-ng that came with the extra. Its voices are read once."""
    data = Path(espeakng_loader.get_data_path())
    return Engine(
        library=Path(espeakng_loader.get_library_path()),
        data=data,
        languages=read_languages(data),
        variants=read_variants(data),
    )


async def whole_samples(blocks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Yield the same bytes, cut only between samples; a pipe may cut anywhere."""
    rest = b""
    async for block in blocks:
        pcm = rest + block
        whole = len(pcm) - len(pcm) % espeak.SAMPLE_BYTES
        rest = pcm[whole:]
        if whole:
            yield pcm[:whole]
