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
from synchromesh.engine.reconcile import period
from synchromesh.engine.reconcile.reconciler import Reconciler, Unfit, Unknown

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


class Approved(msgspec.Struct, frozen=True):
    """Where the decision stands in the plant's log; what became of it, `/v1/reconciliation/runs` tells."""

    position: int


def reconciliation_routes(desk: Reconciler) -> list[BaseRoute]:
    """The routes over one desk."""
    asked = _Asked(desk)
    return [
        Route("/v1/reconciliation/runs", asked.kept),
        Route("/v1/reconciliation/periods", asked.period),
        Route("/v1/reconciliation/approvals", asked.approve, methods=["POST"]),
        Route("/v1/reconciliation/{scope}", asked.compare),
        Route("/v1/reconciliation/{scope}", asked.run, methods=["POST"]),
    ]


class _Asked:
    """The handlers."""

    def __init__(self, desk: Reconciler) -> None:
        self._desk = desk
        self._one = asyncio.Lock()

    async def compare(self, request: Request) -> Response:
        scope, plant = request.path_params["scope"], _plant(request)
        return as_json(await self._comparing(lambda: self._desk.compare(scope, plant)))

    async def run(self, request: Request) -> Response:
        scope, body = request.path_params["scope"], await body_of(request, RunAsked)
        return as_json(await self._comparing(lambda: self._desk.run(scope, body.plant)))

    async def _comparing(self, ask: Callable[[], Coroutine[None, None, T]]) -> T:
        async with self._one:
            return await _in_words(lambda: asyncio.run(ask()))

    async def kept(self, request: Request) -> Response:
        plant = _plant(request)
        return as_json(await _in_words(lambda: self._desk.kept(plant)))

    async def period(self, request: Request) -> Response:
        plant = _plant(request)
        try:
            first, last = period.parse(request.query_params.get("first", ""), request.query_params.get("last", ""))
        except period.PeriodError as error:
            raise HTTPException(400, str(error)) from error
        return as_json(await _in_words(lambda: self._desk.period(plant, first, last)))

    async def approve(self, request: Request) -> Response:
        body = await body_of(request, Approval)
        position = await _in_words(lambda: self._desk.approve(body.plant, body.proposal, body.by, body.reason))
        return as_json(Approved(position), 202)


def _plant(request: Request) -> str:
    plant = request.query_params.get("plant", "")
    if not plant:
        raise HTTPException(400, "say which plant: ?plant=")
    return plant


async def _in_words(ask: Callable[[], T]) -> T:
    """Ask in a thread; what can't be answered is refused in the words of whoever knows."""
    try:
        return await run_in_threadpool(ask)
    except Unknown as error:
        raise HTTPException(404, str(error)) from error
    except Unfit as error:
        raise HTTPException(409, str(error)) from error
    except ConnectorError as error:
        raise HTTPException(502, str(error)) from error
