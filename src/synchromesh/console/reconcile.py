"""The API's routes of reconciliation: compare now, keep a run, what is kept, the close of a period, and approving a correction.

A comparison reads much, so it runs in a thread of its own, one at a time; others wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from synchromesh.connectors.agreement import ConnectorError
from synchromesh.console.answers import as_json, body_of
from synchromesh.engine.desk import Desk, NotFitting
from synchromesh.engine.queue import Unknown as NoSuchThing
from synchromesh.engine.reconcile import period
from synchromesh.engine.reconcile.reconciler import Reconciler, Unknown
from synchromesh.model.event import DifferenceAdjusted

T = TypeVar("T")
Text = Annotated[str, Meta(min_length=1, max_length=128)]


class RunAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A run that shall be kept."""

    plant: Text


class Approval(msgspec.Struct, forbid_unknown_fields=True):
    """A person approves a proposed correction of stock."""

    plant: Text
    proposal: Text
    by: Text
    reason: Annotated[str, Meta(max_length=128)] = ""


def reconciliation_routes(reconciler: Reconciler, desk: Desk) -> list[BaseRoute]:
    """The routes over one reconciler, and the desk at which its corrections are approved."""
    asked = _Asked(reconciler, desk)
    return [
        Route("/v1/reconciliation/runs", asked.kept),
        Route("/v1/reconciliation/periods", asked.period),
        Route("/v1/reconciliation/approvals", asked.approve, methods=["POST"]),
        Route("/v1/reconciliation/{scope}", asked.compare),
        Route("/v1/reconciliation/{scope}", asked.run, methods=["POST"]),
    ]


class _Asked:
    """The handlers."""

    def __init__(self, reconciler: Reconciler, desk: Desk) -> None:
        self._reconciler = reconciler
        self._desk = desk
        self._one = asyncio.Lock()

    async def compare(self, request: Request) -> Response:
        scope, plant = request.path_params["scope"], _plant(request)
        return as_json(await self._comparing(lambda: self._reconciler.compare(scope, plant)))

    async def run(self, request: Request) -> Response:
        scope, body = request.path_params["scope"], await body_of(request, RunAsked)
        return as_json(await self._comparing(lambda: self._reconciler.run(scope, body.plant)))

    async def _comparing(self, ask: Callable[[], Coroutine[None, None, T]]) -> T:
        async with self._one:
            return await _in_words(lambda: asyncio.run(ask()))

    async def kept(self, request: Request) -> Response:
        plant = _plant(request)
        return as_json(await _in_words(lambda: self._reconciler.kept(plant)))

    async def period(self, request: Request) -> Response:
        plant = _plant(request)
        try:
            first, last = period.parse(request.query_params.get("first", ""), request.query_params.get("last", ""))
        except period.PeriodError as error:
            raise HTTPException(400, str(error)) from error
        return as_json(await _in_words(lambda: self._reconciler.period(plant, first, last)))

    async def approve(self, request: Request) -> Response:
        body = await body_of(request, Approval)
        event = DifferenceAdjusted(body.proposal, body.by, body.reason)
        dry_run = request.query_params.get("dry_run") == "true"
        return as_json(await _in_words(lambda: self._desk.decide(body.plant, event, dry_run=dry_run)), 200 if dry_run else 202)


def _plant(request: Request) -> str:
    plant = request.query_params.get("plant", "")
    if not plant:
        raise HTTPException(400, "say which plant: ?plant=")
    return plant


async def _in_words(ask: Callable[[], T]) -> T:
    """Ask in a thread; what can't be answered is refused in the words of whoever knows."""
    try:
        return await run_in_threadpool(ask)
    except (Unknown, NoSuchThing) as error:
        raise HTTPException(404, str(error)) from error
    except NotFitting as error:
        raise HTTPException(409, str(error)) from error
    except ConnectorError as error:
        raise HTTPException(502, str(error)) from error
