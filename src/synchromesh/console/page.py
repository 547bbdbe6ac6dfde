"""The page and the questions behind it: one self-contained HTML page that polls JSON, and the same JSON for anyone else.

Everything works without the internet. Nothing that a source told reaches the page as markup: the answers are JSON, the script
writes text only, and the content policy lets no other script or style run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from synchromesh.console.answers import HEADERS, as_json, limit, refused, unavailable, whole
from synchromesh.console.metrics import exposition
from synchromesh.console.operations import Operations
from synchromesh.log.agreement import LogError
from synchromesh.state.agreement import StateError

MAX_QUERY: Final = 200
"""The longest search text, in characters."""

STYLES: Final = ("page.css", "queue.css")
SCRIPTS: Final = ("page.js", "queue.js", "deciding.js", "foreseen.js", "trail.js", "begin.js")
"""What the page is made of, in the order in which it stands there: later files use earlier ones, and the last begins."""


def create_page(operations: Operations, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The page at `/`, its answers under `/v1/` and the figures for Prometheus at `/metrics`, over the given operations; and `more`, each
    theme's routes from a file of its own."""
    asked = _Asked(operations)
    return Starlette(
        routes=[
            Route("/", _page()),
            Route("/v1/summary", asked.summary),
            Route("/v1/facts", asked.facts),
            Route("/v1/exceptions", asked.exceptions),
            Route("/v1/trace", asked.trace),
            Route("/v1/plants/{plant}/facts/{position}", asked.story),
            Route("/metrics", asked.metrics),
            *more,
        ],
        exception_handlers={HTTPException: refused, StateError: unavailable, LogError: unavailable},
    )


class _Asked:
    """The handlers. Operations block on the store, so each is asked in a thread."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def summary(self, _request: Request) -> Response:
        return as_json(await run_in_threadpool(self._operations.summary))

    async def facts(self, request: Request) -> Response:
        return as_json(await run_in_threadpool(self._operations.recent, limit(request)))

    async def exceptions(self, request: Request) -> Response:
        return as_json(await run_in_threadpool(self._operations.exceptions, limit(request)))

    async def trace(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if not query or len(query) > MAX_QUERY:
            raise HTTPException(400, f"q must be an order, lot, message id or document number of 1 to {MAX_QUERY} characters")
        return as_json(await run_in_threadpool(self._operations.trace, query))

    async def story(self, request: Request) -> Response:
        plant, position = request.path_params["plant"], request.path_params["position"]
        place = whole(position, "the position of a fact", 2**63 - 1)
        story = await run_in_threadpool(self._operations.story, plant, place)
        if story is None:
            raise HTTPException(404, f"there is no fact at position {place} of plant {plant!r}; /v1/trace?q= finds facts by name")
        return as_json(story)

    async def metrics(self, _request: Request) -> Response:
        text = exposition(await run_in_threadpool(self._operations.summary))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8", headers=HEADERS)


def _page() -> Callable[[Request], Response]:
    folder = files("synchromesh.console")
    style = "".join(folder.joinpath(name).read_text("utf-8") for name in STYLES)
    script = "".join(folder.joinpath(name).read_text("utf-8") for name in SCRIPTS)
    html = folder.joinpath("page.html").read_text("utf-8").replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {**HEADERS, "Content-Security-Policy": policy}

    def page(_request: Request) -> Response:
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)

    return page


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
