"""The two ways a mapping says no: to a message, and to an adapter that could never work."""

from __future__ import annotations

from typing import Final

_SHOWN: Final = 80


def shown(value: object) -> str:
    """A foreign value for an error text: as written in Python, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class MappingRefused(ValueError):
    """A message that can't become canonical events.

    `sentence` says what is wrong and what to do, `field` is where in the payload or the adapter, `value` is what stood there, cut to
    80 characters. The same message is refused again until the payload or the adapter changes.
    """

    def __init__(self, sentence: str, field: str = "", value: str = "") -> None:
        self.sentence = sentence
        self.field = field
        self.value = value
        super().__init__(sentence)


class Unfit(ValueError):
    """A value that a function of the expression language can't take; the mapping turns it into `MappingRefused` with the place."""

    def __init__(self, sentence: str, value: object) -> None:
        self.sentence = sentence
        self.value = value
        super().__init__(sentence)


class ManifestError(ValueError):
    """An adapter that can't be loaded: which file, which key, what is wrong, and the nearest right name where there is one."""

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        self.problem = problem
        super().__init__(f"{file}: {key}: {problem}" if key else f"{file}: {problem}")
