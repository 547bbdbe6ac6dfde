"""Text as PostgreSQL can keep it. It keeps every character but U+0000, and foreign text may hold that one too.

U+0000 is kept as U+0001 U+0001, and U+0001 as U+0001 U+0002. So every text has one form, none is lost, and the order of code points stays
what it was. Text without these two, which is nearly all, is kept as it is and read by people as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from synchromesh.postgres import arrays


def kept(text: str) -> str:
    """The form in which a text is stored."""
    if "\0" in text or "\1" in text:
        return text.replace("\1", "\1\2").replace("\0", "\1\1")
    return text


def told(stored: str) -> str:
    """The text of a stored form."""
    if "\1" in stored:
        return stored.replace("\1\1", "\0").replace("\1\2", "\1")
    return stored


def texts(told: Sequence[str]) -> arrays.Texts:
    """Texts in their stored form, as a `text[]`. Raises `UnicodeEncodeError` for one that is none, such as half a surrogate pair."""
    every = "".join(told)
    if "\0" in every or "\1" in every:
        told = [kept(each) for each in told]
    return arrays.texts(told)
