"""What the edge answers: responses, and refusals as problems of RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import msgspec

PROBLEM: Final = b"application/problem+json"
JSON: Final = b"application/json"
MAX_SHOWN: Final = 20
"""The most faults that one refusal lists."""

_KINDS: Final = {
    400: ("malformed", "The request cannot be read"),
    404: ("not-found", "There is nothing at this address"),
    405: ("method-not-allowed", "This address does not take this method"),
    408: ("too-slow", "The request did not arrive in time"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-content", "This kind of content is not understood"),
    422: ("invalid", "The message says what cannot be"),
    431: ("header-too-large", "The request's header is too large"),
    500: ("internal", "A fault of this server"),
    503: ("busy", "Nothing can be stored just now"),
    507: ("full", "There is no room to store anything"),
}


_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where (a JSON pointer, or a header's name), what, and what to do."""

    pointer: str
    detail: str
    remedy: str


class Response(msgspec.Struct, frozen=True):
    """A whole answer. `headers` leaves out content-length and date, which the connection writes; `last` ends the connection."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    last: bool = False


class Refused(Exception):
    """The request is refused and nothing of it is stored. `instance` is added where the request's path is known."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        *,
        last: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = headers or {}
        self.last = last

    def response(self, instance: str = "") -> Response:
        """The problem as a response."""
        kind, title = _KINDS[self.status]
        told: dict[str, object] = {
            "type": f"urn:synchromesh:problem:{kind}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
        }
        if instance:
            told["instance"] = instance
        if self.faults:
            told["errors"] = self.faults[:MAX_SHOWN]
        headers = ((b"content-type", PROBLEM), *((name.encode(), value.encode()) for name, value in self.headers.items()))
        return Response(self.status, msgspec.json.encode(told), headers, self.last)


def phrase(status: int) -> bytes:
    """The words beside the number in a status line."""
    return _PHRASES[status]
