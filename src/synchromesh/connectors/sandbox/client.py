"""The connector that reaches a sandbox over HTTP.

The sandbox answers a posting only when its journal holds the document, so its answer is the books' own word. What went wrong before the
request could leave is `Fate.RETRY`; so is an answer that says that nothing was booked (423, 429, 503). All else that is no answer is doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Meta
from yarl import URL

from synchromesh.connectors import retry_after
from synchromesh.connectors.agreement import Abilities, Balance, ConnectorError, Finding, FindingState, Grade, OrderTotal, Pulled
from synchromesh.connectors.sandbox import refusals
from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Posting, PostingKind, Refusal, Reply

MAX_ANSWER: Final = 64 * 2**20
MAX_ITEMS_ASKED: Final = 50
"""Beyond so many items in one question it is cheaper to ask for all."""

MAX_ORDERS_ASKED: Final = 50
"""Orders in one question, so that an address stays short."""

_SAYS_RETRY: Final = frozenset({423, 429, 503})
_SAYS_NEVER: Final = frozenset({400, 413, 422})

Told = TypeVar("Told")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sandbox's table in the configuration.

    `url` is its address. `grade` and `settle_seconds` are what it was started with. `batch` postings go in one call, `concurrency` calls
    at a time; a call is given up after `timeout_seconds`.
    """

    url: Annotated[str, Meta(pattern=r"^http://[^/?#]+/?$")]
    grade: Grade = Grade.UNIQUE
    settle_seconds: Annotated[float, Meta(ge=0)] = 2.0
    batch: Annotated[int, Meta(ge=1, le=1000)] = 100
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4
    timeout_seconds: Annotated[float, Meta(gt=0)] = 10.0


class _Problem(msgspec.Struct):
    """What of an RFC 9457 problem is told on."""

    detail: str = ""


class _Response(msgspec.Struct):
    """An HTTP answer that came whole."""

    status: int
    body: bytes
    retry_after: float | None


class _NotSentError(Exception):
    """The request certainly did not reach the sandbox."""


class _LostError(Exception):
    """The request may have reached the sandbox, and no whole answer came."""


_REPLIES = msgspec.json.Decoder(list[Reply])
_PROBLEM = msgspec.json.Decoder(_Problem)


class SandboxConnector:
    """A `Connector`. Keeps connections alive between calls and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self.abilities = Abilities(
            grade=settings.grade,
            kinds=frozenset(PostingKind),
            batch=settings.batch,
            concurrency=settings.concurrency,
            settle_seconds=settings.settle_seconds,
            differences=True,
        )
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        if not postings:
            return []
        try:
            response = await self._ask("POST", "/postings", msgspec.json.encode(postings))
        except _NotSentError as error:
            return self._all(postings, Fate.RETRY, str(error))
        except _LostError as error:
            return self._all(postings, Fate.DOUBT, str(error))
        if response.status == 200:
            return self._replies(postings, response)
        if response.status in _SAYS_NEVER:
            return await self._halve(postings, response)
        # A wrong grade or address (4xx) booked nothing, and is mended in the settings. Any other answer may hide a booking.
        certain = response.status in _SAYS_RETRY or 400 <= response.status < 500
        return self._all(postings, Fate.RETRY if certain else Fate.DOUBT, _words(response), response.retry_after)

    def _replies(self, postings: Sequence[Posting], response: _Response) -> list[Reply]:
        try:
            replies = _REPLIES.decode(response.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._all(postings, Fate.DOUBT, f"the answer can't be read: {error}")
        if [reply.key for reply in replies] != [posting.key for posting in postings]:
            return self._all(postings, Fate.DOUBT, "the answer is about other postings than were sent")
        return [self._linked(reply) for reply in replies]

    def _linked(self, reply: Reply) -> Reply:
        if not reply.document:
            return reply
        return msgspec.structs.replace(reply, link=f"{self._url}/documents/{reply.document}")

    async def _halve(self, postings: Sequence[Posting], response: _Response) -> list[Reply]:
        """The request was refused whole, before the books: find the posting that is to blame, so that the others go through."""
        if len(postings) > 1:
            middle = len(postings) // 2
            return [*await self.post(postings[:middle]), *await self.post(postings[middle:])]
        refusal = Refusal(
            Category.INVALID,
            subject.about(postings[0]),
            "The sandbox can't read this posting.",
            "Correct the report.",
            _words(response)[:2000],
        )
        return [Reply(key=postings[0].key, fate=Fate.REJECTED, refusal=refusal)]

    def _all(self, postings: Sequence[Posting], fate: Fate, words: str, retry_after: float | None = None) -> list[Reply]:
        refusal = refusals.unavailable(f" at {self._url}", words)
        return [Reply(key=posting.key, fate=fate, refusal=refusal, retry_after=retry_after) for posting in postings]

    async def find(self, key: str) -> Finding:
        if self.abilities.grade is Grade.BLIND:
            return Finding(state=FindingState.SILENT)
        finding = await self._told(f"/postings/{quote(key, safe='')}", Finding)
        return Finding(state=finding.state, reply=self._linked(finding.reply) if finding.reply else None)

    async def pull(self, cursor: str) -> Pulled:
        return await self._told(f"/changes?cursor={quote(cursor, safe='')}", Pulled)

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        named = items if len(items) <= MAX_ITEMS_ASKED else ()
        query = "&".join(f"item={quote(item, safe='')}" for item in named)
        balances = await self._told(f"/balances?{query}", list[Balance])
        wanted = frozenset(items)
        return [balance for balance in balances if not wanted or balance.item in wanted]

    async def order_totals(self, orders: Sequence[str]) -> list[OrderTotal]:
        """See `TellsOrders.order_totals`."""
        found: list[OrderTotal] = []
        for first in range(0, len(orders), MAX_ORDERS_ASKED):
            query = "&".join(f"order={quote(order, safe='')}" for order in orders[first : first + MAX_ORDERS_ASKED])
            found += await self._told(f"/totals?{query}", list[OrderTotal])
        return found

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def _told(self, path: str, kind: type[Told]) -> Told:
        """The answer to a question. Raises `ConnectorError`."""
        try:
            response = await self._ask("GET", path, None)
            if response.status != 200:
                raise ConnectorError(f"the sandbox at {self._url} refuses {path[:80]} with {response.status}: {_words(response)}")
            return msgspec.json.decode(response.body, type=kind)
        except (_NotSentError, _LostError) as error:
            raise ConnectorError(f"the sandbox at {self._url} can't be reached: {error}; check that it runs") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConnectorError(f"the sandbox at {self._url} answers {path[:80]} with what can't be read: {error}") from error

    async def _ask(self, method: str, path: str, body: bytes | None) -> _Response:
        session = self._opened()
        try:
            async with session.request(method, URL(self._url + path, encoded=True), data=body, allow_redirects=False) as response:
                told = bytearray()
                async for chunk in response.content.iter_any():
                    told += chunk
                    if len(told) > MAX_ANSWER:
                        raise _LostError(f"the answer is longer than {MAX_ANSWER} bytes")
                wait = retry_after.seconds(response.headers.get("Retry-After"), datetime.now(UTC))
                return _Response(response.status, bytes(told), wait)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotSentError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _LostError(f"{type(error).__name__} {error}") from error

    def _opened(self) -> aiohttp.ClientSession:
        """The session: it belongs to the event loop, so the first call opens it."""
        if self._session is None:
            seconds = self._settings.timeout_seconds
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.concurrency, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=seconds / 2),
                headers={"Sandbox-Grade": self._settings.grade.value, "Content-Type": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _words(response: _Response) -> str:
    """The sandbox's own words about a refused request."""
    try:
        return _PROBLEM.decode(response.body).detail
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return response.body[:200].decode("utf-8", "replace")
