"""The edge as an ASGI application, whole in itself: routes that take messages, health, and whatever else is mounted beside.

`server` answers the plainest requests past it, for speed; every other request, and every other server, comes here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

import msgspec

from synchromesh.edges.http.answer import JSON, Refused, Response
from synchromesh.edges.http.ingest import Ingest
from synchromesh.edges.http.route import find_route

Scope = MutableMapping[str, Any]  # what ASGI says a scope is
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

DISCARDED: Final = 16_000_000
"""Bytes of a refused body that are read and thrown away, so that the sender reads the answer instead of a broken connection."""


class _Gone(Exception):
    """The sender went away before its request was complete: there is nobody to answer and nothing was stored."""


def create_app(ingest: Ingest, problems: Callable[[], Sequence[str]], other: ASGIApp | None = None) -> ASGIApp:
    """The application. `problems` says in sentences why the service is not ready; none when it is. `other` gets every request that
    is not the edge's own, and the lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await _own(ingest, problems, scope, receive)
            if response is not None:
                await _send(response, send)
                return
        if other is not None:
            await other(scope, receive, send)
        elif scope["type"] == "http":
            path: str = scope["path"]
            await _send(Refused(404, "there is nothing at this address; events go to /v1/plants/{plant}/events").response(path), send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)

    return app


async def _own(ingest: Ingest, problems: Callable[[], Sequence[str]], scope: Scope, receive: Receive) -> Response | None:
    """The answer to a request that is the edge's own, else None."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.decode("latin-1")
    method: str = scope["method"]
    route = find_route(path)
    try:
        if route is not None:
            _require(method, "POST")
            headers = joined(scope["headers"])
            body = await _body(receive, headers.get(b"content-length"), ingest.catalogue.max_body)
            return await ingest.answer(route, path, scope["query_string"], headers, body)
        if path == "/v1/health/live":
            _require(method, "GET", "HEAD")
            return Response(200, b'{"live":true}', ((b"content-type", JSON),))
        if path == "/v1/health/ready":
            _require(method, "GET", "HEAD")
            told = list(problems())
            ready = {"ready": not told, "problems": told}
            return Response(503 if told else 200, msgspec.json.encode(ready), ((b"content-type", JSON),))
    except Refused as refused:
        return refused.response(path)
    except _Gone:
        return Response(400, b"", last=True)
    return None


def joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; repeated ones joined, as RFC 9110 lets one do."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        name = name.lower()  # noqa: PLW2901 - the same name, comparable
        found[name] = found[name] + b", " + value if name in found else value
    return found


def too_large(limit: int) -> Refused:
    """The refusal of a body over the limit."""
    return Refused(413, f"the body is larger than {limit:,} bytes; send it in smaller batches", last=True)


def _require(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refused(405, f"{method} is not possible here; use {' or '.join(allowed)}", headers={"allow": ", ".join(allowed)})


async def _body(receive: Receive, declared: bytes | None, limit: int) -> bytes:
    """The whole body, never more than `limit` bytes of it in memory."""
    if declared is not None and int(declared) > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        part: bytes = event.get("body", b"")
        more = event.get("more_body", False)
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
            if size > limit + DISCARDED:
                break
    if size > limit:
        raise too_large(limit)
    return b"".join(parts)


async def _send(response: Response, send: Send) -> None:
    headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
    if response.last:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Nothing to start and nothing to stop."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
