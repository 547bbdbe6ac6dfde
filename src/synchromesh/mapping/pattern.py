r"""Patterns for `matches`: a part of regular expressions that can't be made to run for ever.

Literal characters, `.`, classes `[...]`, `\d \w \s`, a count after a single character, and groups with alternatives that are not repeated.
At most two open counts (`*`, `+`, `{2,5}`) and six choices (`?`, `|`), on at most 256 characters of input: the work is bounded
whatever the payload says.
"""

from __future__ import annotations

import re
from typing import Final

from synchromesh.mapping.refusal import Unfit

_MAX_PATTERN: Final = 100
_MAX_INPUT: Final = 256
_OPEN_COUNTS: Final = 2
_CHOICES: Final = 6
_TOKEN: Final = re.compile(
    r"(?P<single>\\[dwsDWS.\-\\/()\[\]{}+*?|^$]|\[\^?(?:[^\]\\\[]|\\[dws\]\\\-^])+\]|[^\\\[\](){}*+?|^$])"
    r"(?P<count>\*|\+|\?|\{\d{1,3}(?:,\d{0,3})?\})?"
    r"|(?P<group>\(|\)|\|)"
)


class Pattern:
    """A compiled pattern that must fit the whole text."""

    def __init__(self, source: str) -> None:
        """Raises `ValueError` saying what the pattern may not use."""
        if len(source) > _MAX_PATTERN:
            raise ValueError(f"a pattern has at most {_MAX_PATTERN} characters")
        position = open_counts = choices = 0
        while position < len(source):
            token = _TOKEN.match(source, position)
            if token is None:
                raise ValueError(
                    f"the pattern {source!r} can't be used from {source[position : position + 10]!r} on: it may have characters, classes,"
                    " counts after a single character, and groups that are not repeated"
                )
            count = token["count"]
            if count and (count in "*+" or "," in count):
                open_counts += 1
            elif token["group"] == "|" or count == "?":
                choices += 1
            position = token.end()
        if open_counts > _OPEN_COUNTS or choices > _CHOICES:
            raise ValueError(f"the pattern {source!r} leaves too much open: at most {_OPEN_COUNTS} open counts and {_CHOICES} choices")
        try:
            self._fullmatch = re.compile(source, re.ASCII).fullmatch
        except re.error as error:
            raise ValueError(f"the pattern {source!r} is not valid: {error}") from None

    def fits(self, value: object) -> bool:
        """Whether the whole text fits; nothing (None) fits no pattern. Raises `Unfit` for other values and for longer texts."""
        if value is None:
            return False
        if not isinstance(value, str):
            raise Unfit("only a text can be matched with a pattern; use text(x)", value)
        if len(value) > _MAX_INPUT:
            raise Unfit(f"a text matched with a pattern has at most {_MAX_INPUT} characters", value)
        return self._fullmatch(value) is not None
