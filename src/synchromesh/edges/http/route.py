"""The addresses of the edge, and what the head of a request says about it."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import msgspec

from synchromesh.edges.http.answer import Refused

LONGEST_WAIT: Final = 30.0
"""Seconds that a synchronous call may ask to wait for."""

_LONGEST_PATH: Final = 512
_PATH: Final = re.compile(r"/v1/plants/([^/]+)/(?:(events)|(ended)|interfaces/(.+)/messages)")
_PREFERRED: Final = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])', re.IGNORECASE)
_ASKED: Final = re.compile(r"(?:^|&)wait=([^&]*)")


class Kind(enum.Enum):
    """What is posted to a route."""

    EVENTS = "events"
    MESSAGES = "messages"
    ENDED = "ended"


class Route(msgspec.Struct, frozen=True):
    """One address that takes messages. `interface` is set for `MESSAGES` alone."""

    kind: Kind
    plant: str
    interface: str = ""


def find_route(path: str) -> Route | None:
    """The route at a raw path (still percent-encoded, without query), or None."""
    return _find(path) if len(path) <= _LONGEST_PATH else None


@lru_cache(maxsize=1024)
def _find(path: str) -> Route | None:
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    plant = unquote(match[1])
    if match[2]:
        return Route(Kind.EVENTS, plant)
    if match[3]:
        return Route(Kind.ENDED, plant)
    return Route(Kind.MESSAGES, plant, unquote(match[4]))


def wanted_wait(query: bytes, headers: Mapping[bytes, bytes]) -> float:
    """How many seconds the caller wants to wait for the outcome: `?wait=5`, or `Prefer: wait=5` (RFC 7240); 0 for not at all. Raises
    `Refused` with 400 for an address that says no number; a preference that can't be read is none."""
    asked = _ASKED.search(query.decode("latin-1")) if query else None
    if asked is not None:
        if not re.fullmatch(r"[0-9]{1,6}", asked[1]):
            raise Refused(400, f"wait must be a whole number of seconds, not {asked[1][:40]!r}; at most {LONGEST_WAIT:g} are waited")
        return min(float(asked[1]), LONGEST_WAIT)
    prefer = headers.get(b"prefer")
    preferred = _PREFERRED.search(prefer.decode("latin-1")) if prefer else None
    return min(float(preferred[1]), LONGEST_WAIT) if preferred else 0.0


@lru_cache(maxsize=256)
def media_type(content_type: bytes) -> str:
    """The bare media type in lower case. Raises `Refused` with 415 where the charset is not UTF-8."""
    media, *parameters = content_type.decode("latin-1").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise Refused(415, f"the charset {value[:40]} is not understood; send UTF-8")
    return media.strip()
