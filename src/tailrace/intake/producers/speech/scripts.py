"""Which language a text is in, as far as its script tells."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

# Where nothing else is said. Ukrainian and the other languages in Cyrillic, and all those
# in Latin, must be named by the caller.
MANDARIN, JAPANESE, KOREAN, RUSSIAN, ENGLISH = "zh", "ja", "ko", "ru", "en"

KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9d"
HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
CYRILLIC = "\u0400-\u052f"

# One match is about one word: a character of kana, Han or Hangul, or a run of other letters.
_WORDS = re.compile(
    f"(?P<kana>[{KANA}])|(?P<han>[{HAN}])|(?P<hangul>[{HANGUL}])|(?P<cyrillic>[{CYRILLIC}]+)"
    f"|(?P<other>[^\\W\\d_{KANA}{HAN}{HANGUL}{CYRILLIC}]+)"
)

# So many words tell; a whole book need not be counted.
SAMPLE_WORDS = 2000

# The Mandarin voice speaks English words as English, but no English voice speaks Chinese.
# So one word in ten is enough; fewer are a name or a quotation in a text of another language.
EAST_ASIAN_SHARE = 0.1

# Kana beside Han means Japanese; a lone の in a Chinese text is an ornament of shop signs.
KANA_SHARE = 0.1


def language_of(text: str) -> str:
    """Return the language that a text is most likely in; English where the script is silent."""
    words = Counter(match.lastgroup for match in islice(_WORDS.finditer(text), SAMPLE_WORDS))
    chinese_or_japanese = words["han"] + words["kana"]
    east_asian = chinese_or_japanese + words["hangul"]
    if east_asian and east_asian >= EAST_ASIAN_SHARE * words.total():
        if words["hangul"] >= chinese_or_japanese:
            return KOREAN
        is_japanese = words["kana"] > KANA_SHARE * chinese_or_japanese
        return JAPANESE if is_japanese else MANDARIN
    return RUSSIAN if words["cyrillic"] > words["other"] else ENGLISH
