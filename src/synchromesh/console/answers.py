"""What all answers of the API share: JSON, refusals as RFC 9457 words them, and how a request's numbers and body are read."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

T = TypeVar("T")

HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""On every answer: nothing is kept on the way, and nothing is guessed."""

MAX_LISTED: Final = 1_000
"""The most rows that one answer lists."""

MAX_BODY: Final = 1_000_000
"""The most bytes that a decision or a question may have."""

_NOTHING: Final = "there is nothing at this address; the page is at /, and docs/reference/http.md lists all others"
_TITLES: Final = {
    400: "Bad request",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    409: "It does not fit any more",
    413: "Too large",
    415: "Unsupported content type",
    422: "It can't be meant",
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refusal as RFC 9457 words it: `title` is the kind, `detail` says what to do."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


def as_json(answer: object, status: int = 200) -> Response:
    """An answer as JSON."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json", headers=HEADERS)


def problem(status: int, title: str, detail: str, headers: dict[str, str]) -> Response:
    """A refusal."""
    body = msgspec.json.encode(Problem(title, status, detail))
    return Response(body, status, media_type="application/problem+json", headers={**HEADERS, **headers})


def refused(request: Request, error: Exception) -> Response:
    """What a handler raised, as a refusal."""
    assert isinstance(error, HTTPException)
    title = _TITLES.get(error.status_code, "Refused")
    allowed = (error.headers or {}).get("Allow", "GET").removesuffix(", HEAD")
    own = {"Not Found": _NOTHING, "Method Not Allowed": f"{request.method} is not possible here; use {allowed}"}
    return problem(error.status_code, title, own.get(error.detail, error.detail), dict(error.headers or {}))


def unavailable(_request: Request, error: Exception) -> Response:
    """Log or state can't answer now."""
    return problem(503, "The store can't answer", str(error), {"Retry-After": "2"})


def limit(request: Request) -> int:
    """How many rows are asked for, 100 if nothing is said."""
    return whole(request.query_params.get("limit", "100"), "limit", MAX_LISTED)


def whole(text: str, name: str, most: int) -> int:
    """A number in an address. Raises a refusal with its name."""
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 1 <= int(text) <= most:
        raise HTTPException(400, f"{name} must be a whole number from 1 to {most:,}, not {text[:40]!r}")
    return int(text)


async def body_of(request: Request, type_: type[T]) -> T:
    """What a request that changes something says. Only JSON is taken, and only from this service's own pages or from programs: another
    site's page can't send it for a person who happens to look at it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "a page of another site asked for this; use this service's own page, or a program")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body must be JSON; send it with Content-Type: application/json")
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > MAX_BODY:
            raise HTTPException(413, f"the body is larger than {MAX_BODY:,} bytes")
    try:
        return msgspec.json.decode(received, type=type_)
    except msgspec.ValidationError as error:
        raise HTTPException(422, f"the body can't be meant: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
