"""Prefer and Preference-Applied (RFC 7240), for the preferences that we can honour.

Prefer     = 1#preference
preference = token [ BWS "=" BWS word ] *( OWS ";" [ OWS parameter ] )
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tailrace.protocol.fields import Fields
from tailrace.protocol.grammar import OWS, parse_word, split_list, split_semicolons

_DELTA_SECONDS = re.compile(r"[0-9]+")
# RFC 9111 §1.2.2: a number of seconds that is too large to be held is read as 2**31.
_LONGEST_WAIT = 2**31


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client prefers, or, in an answer, what was applied of it."""

    respond_async: bool = False
    wait: int | None = None
    """For how many seconds the client will wait for the answer."""


def parse(fields: Fields) -> Preferences:
    """Read the Prefer fields of a request.

    What is not understood is ignored (§2), and so is all but the first of a preference
    given twice, even where the first has a value that makes no sense.
    """
    values: dict[str, str | None] = {}
    for preference in split_list(fields.get("Prefer") or ""):
        without_parameters = "".join(split_semicolons(preference)[:1])
        token, _, word = without_parameters.partition("=")
        # §2: a value that is empty is the same as none.
        value = parse_word(word.strip(OWS)) if word else ""
        values.setdefault(token.strip(OWS).lower(), value)
    return Preferences(
        respond_async=values.get("respond-async") == "",
        wait=_seconds(values.get("wait")),
    )


def applied(preferences: Preferences) -> str | None:
    """Write a Preference-Applied field value; None where nothing was applied."""
    written = []
    if preferences.respond_async:
        written.append("respond-async")
    if preferences.wait is not None:
        written.append(f"wait={preferences.wait}")
    return ", ".join(written) or None


def _seconds(value: str | None) -> int | None:
    if value is None or _DELTA_SECONDS.fullmatch(value) is None:
        return None
    # int() refuses thousands of digits.
    return min(int(value), _LONGEST_WAIT) if len(value) <= 10 else _LONGEST_WAIT
