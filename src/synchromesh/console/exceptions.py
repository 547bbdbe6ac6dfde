"""The exception queue over HTTP: the same questions and the same decisions as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from synchromesh.console.answers import as_json, body_of, limit, whole
from synchromesh.engine.desk import Decided, Desk, NotFitting
from synchromesh.engine.queue import Unknown
from synchromesh.engine.views import ExceptionStory, ExceptionView, Story
from synchromesh.model.event import CauseAssigned, CauseDismissed, CauseReleased, DecisionEvent

T = TypeVar("T")

FACTS: Final = 20
"""Facts that are told of one exception."""

LATEST: Final = 2**63 - 1

Stories = Callable[[ExceptionView, int], list[Story]]
"""The facts that an exception holds up, so many at the most."""


class CorrectedPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the message of a fact should have been, as text; who says so, and why."""

    payload: str
    by: str
    reason: str


def exception_routes(desk: Desk, stories: Stories) -> list[BaseRoute]:
    """The routes of the exception queue."""
    asked = _Asked(desk, stories)
    return [
        Route("/v1/causes", asked.causes),
        Route("/v1/causes/members", asked.members),
        Route("/v1/causes/decisions", asked.decide_cause, methods=["POST"]),
        Route("/v1/plants/{plant}/exceptions/{id}", asked.show),
        Route("/v1/plants/{plant}/facts/{position}/payload", asked.correct_payload, methods=["POST"]),
        Route("/v1/plants/{plant}/decisions", asked.decide, methods=["POST"]),
        Route("/v1/proposals", asked.proposals),
        Route("/v1/audit", asked.audit),
    ]


class _Asked:
    """The handlers. The desk blocks on log and state, so each is asked in a thread."""

    def __init__(self, desk: Desk, stories: Stories) -> None:
        self._desk = desk
        self._stories = stories

    async def causes(self, request: Request) -> Response:
        query = request.query_params
        return as_json(await _run(self._desk.queue.causes, limit(request), query.get("plant", ""), query.get("category", "")))

    async def members(self, request: Request) -> Response:
        plant, category, subject = (_said(request, name) for name in ("plant", "category", "subject"))
        after = _place(request.query_params.get("after", "0.0"))
        return as_json(await _run(self._desk.queue.of_cause, plant, category, subject, after, limit(request)))

    async def show(self, request: Request) -> Response:
        plant, id_ = request.path_params["plant"], _place(request.path_params["id"])
        view = await _run(self._desk.queue.exception, plant, id_)
        return as_json(ExceptionStory(view, tuple(await _run(self._stories, view, FACTS))))

    async def proposals(self, _request: Request) -> Response:
        return as_json(await _run(self._desk.queue.proposals))

    async def audit(self, request: Request) -> Response:
        return as_json(await _run(self._desk.queue.audit, limit(request), request.query_params.get("plant", "")))

    async def decide(self, request: Request) -> Response:
        """Take one decision about a plant, or tell what it would change (`dry_run=true`)."""
        event: DecisionEvent = await body_of(request, DecisionEvent)  # type: ignore[arg-type]  # a union is a type to the decoder
        plant, dry_run, sure = request.path_params["plant"], _flag(request, "dry_run"), _flag(request, "sure")
        return _answer([await _run(lambda: self._desk.decide(plant, event, dry_run=dry_run, sure=sure))], dry_run)

    async def correct_payload(self, request: Request) -> Response:
        """The message of a fact should have been another payload."""
        said = await body_of(request, CorrectedPayload)
        plant, dry_run = request.path_params["plant"], _flag(request, "dry_run")
        position = whole(request.path_params["position"], "the position of a fact", LATEST)
        correct = self._desk.correct_payload
        decided = await _run(lambda: correct(plant, position, said.payload, said.by, said.reason, dry_run=dry_run))
        return _answer([decided], dry_run)

    async def decide_cause(self, request: Request) -> Response:
        """Release, dismiss or assign a cause in every plant that has it, or in the one that `plant` names."""
        event: _Whole = await body_of(request, _Whole)  # type: ignore[arg-type]  # as above
        plant, dry_run, sure = request.query_params.get("plant", ""), _flag(request, "dry_run"), _flag(request, "sure")
        return _answer(await _run(lambda: self._desk.release(event, plant=plant, dry_run=dry_run, sure=sure)), dry_run)


_Whole = CauseReleased | CauseDismissed | CauseAssigned
"""What is decided about a whole cause."""


async def _run(ask: Callable[..., T], *arguments: object) -> T:
    """Ask in a thread; what is not there or does not fit becomes a refusal with its words."""
    try:
        return await run_in_threadpool(ask, *arguments)
    except Unknown as unknown:
        raise HTTPException(404, str(unknown)) from unknown
    except NotFitting as not_fitting:
        raise HTTPException(409, str(not_fitting)) from not_fitting


def _answer(decided: list[Decided], dry_run: bool) -> Response:
    """202 for what was stored, also when it is folded already: what ERP makes of it comes later."""
    return as_json(decided, 200 if dry_run else 202)


def _flag(request: Request, name: str) -> bool:
    said = request.query_params.get(name, "false")
    if said not in ("true", "false"):
        raise HTTPException(400, f"{name} must be true or false, not {said[:40]!r}")
    return said == "true"


def _said(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if not value:
        raise HTTPException(400, f"{name} is missing; /v1/causes lists plants, categories and subjects")
    return value


def _place(text: str) -> tuple[int, int]:
    """An exception's place in its plant, as `POSITION.ORDINAL`."""
    position, _, ordinal = text.partition(".")
    if not (ordinal.isascii() and ordinal.isdigit() and len(ordinal) < 10):
        raise HTTPException(400, f"an exception is called POSITION.ORDINAL, not {text[:40]!r}")
    return (0 if position == "0" else whole(position, "the position of an exception", LATEST)), int(ordinal)
