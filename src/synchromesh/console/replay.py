"""Replay, verification and the question why, over HTTP. What takes long is asked for with POST and looked at with GET."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from synchromesh.console.answers import as_json, body_of
from synchromesh.engine.jobs import Busy, JobView
from synchromesh.engine.replay import ReplayRefused
from synchromesh.engine.selection import Selection
from synchromesh.engine.why import Why

T = TypeVar("T")

MAX_QUERY: Final = 200
"""The longest name that is asked about, in characters."""


class ReplayAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A replay, as it is asked for: which messages, who wants it and why, by which mapping; and whether it is only told (`dry run`),
    done (`replay`), or rehearsed beside the plant (`rehearsal`)."""

    select: Selection
    kind: Literal["dry run", "replay", "rehearsal"] = "dry run"
    by: str = ""
    reason: str = ""
    mapping: Literal["current", "ran"] = "current"
    dismissed: bool = False


class LongWork(Protocol):
    """What these routes need of the application. `replay` raises `ReplayRefused` for what can't be meant, and both raise `Busy`."""

    def replay(self, asked: ReplayAsked) -> JobView: ...

    def verify(self) -> JobView: ...

    def replaying(self) -> JobView: ...

    def verifying(self) -> JobView: ...


def replay_routes(work: LongWork, why: Callable[[str], Why]) -> list[BaseRoute]:
    """The routes of this theme."""
    asked = _Asked(work, why)
    return [
        Route("/v1/replays", asked.replay, methods=["POST"]),
        Route("/v1/replays", asked.replaying),
        Route("/v1/verifications", asked.verify, methods=["POST"]),
        Route("/v1/verifications", asked.verifying),
        Route("/v1/why", asked.why),
    ]


class _Asked:
    """The handlers. All that asks the stores does so in a thread."""

    def __init__(self, work: LongWork, why: Callable[[str], Why]) -> None:
        self._work = work
        self._why = why

    async def replay(self, request: Request) -> Response:
        asked = await body_of(request, ReplayAsked)
        return as_json(await _begun(lambda: self._work.replay(asked)), 202)

    async def replaying(self, _request: Request) -> Response:
        return as_json(self._work.replaying())

    async def verify(self, request: Request) -> Response:
        await body_of(request, _Nothing)
        return as_json(await _begun(self._work.verify), 202)

    async def verifying(self, _request: Request) -> Response:
        return as_json(self._work.verifying())

    async def why(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if not query or len(query) > MAX_QUERY:
            raise HTTPException(400, f"q must be a fact, order, lot, posting key or message id of 1 to {MAX_QUERY} characters")
        return as_json(await run_in_threadpool(self._why, query))


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that says nothing more: `{}`."""


async def _begun(begin: Callable[[], T]) -> T:
    try:
        return await run_in_threadpool(begin)
    except Busy as error:
        raise HTTPException(409, str(error)) from error
    except ReplayRefused as error:
        raise HTTPException(422, str(error)) from error
