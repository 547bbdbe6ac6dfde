"""What an edge must know of plants and interfaces: whether a message is awaited, and who it is.

Identities come from here on every edge, so that a row in a file and the same row over HTTP are one fact.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

MAX_NAME: Final = 128
"""The most characters of a source or an id."""

OWN_SOURCES: Final = "synchromesh"
"""What the names of Synchromesh's own sources begin with: no foreign message may take their identities."""


class IdentityError(ValueError):
    """A payload that does not say who it is. The text says what is missing or wrong and what to do."""


class Catalogue(Protocol):
    """The interfaces as they are active now."""

    @property
    def plants(self) -> Collection[str]:
        """The partitions that take messages; `enterprise` among them where sources may tell it something."""
        ...

    @property
    def max_body(self) -> int:
        """The most bytes of one request's body."""
        ...

    def accepts(self, plant: str, interface: str) -> bool:
        """Whether the plant takes messages of this interface (`name/version`)."""
        ...

    def source(self, interface: str) -> str:
        """The source system whose messages the interface carries."""
        ...

    def identity(self, interface: str, payload: Mapping[str, object]) -> tuple[str, str]:
        """The payload's source and id, as its interface declares them. Raises `IdentityError`."""
        ...


def checked_identity(source: str, id: str) -> tuple[str, str]:
    """The pair as it is, if both parts can be kept, compared and shown; else `IdentityError`."""
    for name, value in (("source", source), ("id", id)):
        if not 0 < len(value) <= MAX_NAME:
            raise IdentityError(f"the {name} has {len(value)} characters; give it 1 to {MAX_NAME}")
        if not value.isprintable():
            raise IdentityError(f"the {name} {value!r} has characters that cannot be shown; leave control characters out")
    if source.startswith(OWN_SOURCES):
        raise IdentityError(f"the source {source!r} is reserved; sources that begin with {OWN_SOURCES!r} are Synchromesh's own")
    return source, id
