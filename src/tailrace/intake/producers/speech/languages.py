"""Which voice speaks a language: espeak-ng's data, read from its voice files.

What espeak-ng 1.52 does, heard on its phonemes:

- Mandarin. `cmn` and `cmn-latn-pinyin` both speak 你好 as Mandarin. With the data of 1.51
  `cmn` spells the pinyin as English words ("nith-ree"), in a plausible length of time;
  `cmn-latn-pinyin` is right with both, and is what every name of Mandarin means here.
- Mandarin and Cantonese speak English words among the Chinese as English, each word alone,
  and numbers in Chinese.
- English says "Chinese letter" for each Han character, and so do Japanese, Korean and
  Hakka: a Japanese text should be given in kana.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MANDARIN = "cmn-latn-pinyin"
CANTONESE = "yue"

# Names that espeak-ng does not have, or means otherwise. Taiwan and Singapore speak
# Mandarin, and so does "zh" with nothing said of the place.
CHINESE = {
    "zh": MANDARIN,
    "cmn": MANDARIN,
    "zh-cmn": MANDARIN,
    "zh-yue": CANTONESE,
    "zh-hk": CANTONESE,
    "zh-hant-hk": CANTONESE,
    "zh-mo": CANTONESE,
    "zh-hant-mo": CANTONESE,
}

# Of a `language` line that has no number (docs/voices.md of espeak-ng).
DEFAULT_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class Language:
    """A language as espeak-ng offers it."""

    name: str
    """In English, such as "English (America)"."""
    voice: str
    """espeak-ng's name of its voice, such as "gmw/en-US"."""


def find_language(tag: str, languages: Mapping[str, Language]) -> Language | None:
    """Return what is spoken for a language tag, or for the longest part of it that is known.

    The lookup of RFC 4647 §3.4: "en-AU" finds "en". An underscore stands for a hyphen.
    """
    for candidate in _lookup_ranges(tag.strip().lower().replace("_", "-")):
        if candidate in languages:
            return languages[candidate]
    return None


def read_languages(data: Path) -> dict[str, Language]:
    """Read the languages that can be spoken with this data, by their tags in lower case.

    A voice is found by the name of its file, and by the tags in it, of which the lowest
    number wins. A voice whose dictionary is not there would be silent and is left out.
    """
    voices = [_read_voice(path, data) for path in sorted((data / "lang").rglob("*"))]
    spoken = [voice for voice in voices if voice is not None]
    languages: dict[str, Language] = {}
    for _, tag, language in sorted(
        ((priority, tag, voice.language) for voice in spoken for priority, tag in voice.tags),
        key=lambda found: found[0],
    ):
        languages.setdefault(tag, language)
    languages |= {voice.file_name: voice.language for voice in spoken}
    languages |= {tag: languages[to] for tag, to in CHINESE.items() if to in languages}
    return languages


def read_variants(data: Path) -> dict[str, str]:
    """Read the variants, which change the timbre of any voice: in lower case, and as named."""
    return {path.name.lower(): path.name for path in sorted((data / "voices/!v").iterdir())}


def _lookup_ranges(tag: str) -> Iterator[str]:
    subtags = tag.split("-")
    while subtags:
        yield "-".join(subtags)
        subtags.pop()
        if subtags and len(subtags[-1]) == 1:  # "x" and the like go with what they announce
            subtags.pop()


@dataclass(frozen=True, slots=True)
class _Voice:
    file_name: str
    tags: tuple[tuple[int, str], ...]
    language: Language


_LINE = re.compile(r"^\s*(name|language|dictionary)\s+(.*?)\s*(?://.*)?$", re.MULTILINE)


def _read_voice(path: Path, data: Path) -> _Voice | None:
    if not path.is_file():
        return None
    lines = _LINE.findall(path.read_text("utf-8", errors="replace"))
    tags = tuple(_tag(value) for keyword, value in lines if keyword == "language")
    if not tags:
        return None
    said = dict(lines)
    dictionary = said.get("dictionary", tags[0][1].partition("-")[0])
    if not (data / f"{dictionary}_dict").is_file():
        return None
    file_name = path.name.lower()
    voice = path.relative_to(data / "lang").as_posix()
    return _Voice(file_name, tags, Language(said.get("name", file_name), voice))


def _tag(value: str) -> tuple[int, str]:
    tag, _, priority = value.lower().partition(" ")
    return int(priority or DEFAULT_PRIORITY), tag
