"""Tryton's JSON-RPC over HTTP, with the failures told apart by what may have happened in the books.

- `NotSent`: no connection; certainly nothing happened.
- `Busy`: a lock, a limit, or a record that was `Changed` meanwhile; Tryton rolled back and says so. Trying again may help.
- `Denied`: the request was understood as not permitted or not possible; nothing happened.
- `Failed`: Tryton's own error inside the transaction, which it rolled back; nothing happened.
- `Unclear`: the request was sent and no answer can be relied on; it may be in the books.

Every request says `Accept-Encoding: gzip`: Tryton 8.2 marks long answers as gzip even for a client that did not offer it, and then
does not compress them.
"""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeVar

import aiohttp
import msgspec

from synchromesh.connectors import retry_after
from synchromesh.connectors.agreement import ConnectorError
from synchromesh.connectors.tryton.settings import Settings

Json = object
"""A decoded JSON value."""

MAX_ANSWER: Final = 64 * 1024 * 1024
"""The most bytes of an answer that are read."""

MAX_DETAIL: Final = 2000

T = TypeVar("T")


class RpcError(ConnectorError):
    """A call to Tryton that brought no result."""


class NotSent(RpcError):
    """Tryton was not reached; certainly nothing happened there."""


class Busy(RpcError):
    """Tryton rolled back for a lock, a conflict or a limit; the same call may succeed later."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Changed(Busy):
    """Somebody changed the same record meanwhile, and Tryton did nothing; a call that looks again may succeed."""


class Denied(RpcError):
    """Tryton does not let this user in, or does not know the database or the method; nothing happened."""


class Failed(RpcError):
    """Tryton's own error, after which it rolled back. `kind` is its type, `detail` its words, which are translated and may be long."""

    def __init__(self, kind: str, detail: str, name: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.name = name
        """Of a warning: what to skip it by."""


class Unclear(RpcError):
    """The call was sent and what came of it is not known."""


class Tryton:
    """A session with one Tryton database. It logs in when needed, and again when Tryton has forgotten it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = f"{settings.url.rstrip('/')}/{settings.database}/rpc/"
        self._http: aiohttp.ClientSession | None = None
        self._authorization = ""
        self._context: dict[str, Json] = {}
        self._ids = 0
        self._user = 0

    async def call(self, method: str, *parameters: Json) -> Json:
        """The result of a method, called with the user's context. Raises an `RpcError` that says what may have happened."""
        context = await self.context()
        return await self._authorized(method, [*parameters, context])

    async def call_in(self, context: dict[str, Json], method: str, *parameters: Json) -> Json:
        """As `call`, with more in the context."""
        return await self._authorized(method, [*parameters, await self.context() | context])

    async def context(self) -> dict[str, Json]:
        """The context of every call: the company. Read once a session."""
        if not self._context:
            preferences = await self._authorized("model.res.user.get_preferences", [True, {}])
            own = preferences if isinstance(preferences, dict) else {}
            company = own.get("company")
            if self._settings.company:
                company = await self._company(self._settings.company)
            if not isinstance(company, int):
                raise Denied("the Tryton user has no company; set one in the user's preferences, or name it in the setting 'company'")
            self._context = {"company": company, "language": "en"}
        return self._context

    async def company(self) -> int:
        """The id of the company that is worked for."""
        company = (await self.context())["company"]
        assert isinstance(company, int)
        return company

    async def user(self) -> int:
        """The id of the user that is logged in."""
        if not self._user:
            await self._login()
        return self._user

    async def _company(self, name: str) -> object:
        found = await self._authorized("model.company.company.search", [[["party.name", "=", name]], 0, 2, None, {}])
        if not isinstance(found, list) or len(found) != 1:
            raise Denied(f"Tryton has no single company named {name!r}; correct the setting 'company'")
        return found[0]

    async def _authorized(self, method: str, parameters: list[Json]) -> Json:
        if not self._authorization:
            await self._login()
        try:
            return await self._exchange(method, parameters)
        except _Unauthorized:
            # The session ended (a restart, a timeout): nothing of this request was executed, so it may be sent again.
            await self._login()
        try:
            return await self._exchange(method, parameters)
        except _Unauthorized as error:
            raise Denied(str(error)) from None

    async def _login(self) -> None:
        self._authorization = ""
        user = self._settings.user
        try:
            result = await self._exchange("common.db.login", [user, {"password": self._settings.password}])
        except _Unauthorized:
            raise Denied(f"Tryton does not let the user {user!r} in; check user and password") from None
        except Unclear as error:
            raise NotSent(f"no login: {error}") from error
        if not isinstance(result, list) or len(result) < 2:
            raise Denied("Tryton answered the login with something else than a session")
        self._user = read_as(result[0], int, "the login")
        self._authorization = "Session " + base64.b64encode(f"{user}:{result[0]}:{result[1]}".encode()).decode()

    async def _exchange(self, method: str, parameters: list[Json]) -> Json:
        self._ids += 1
        body = json.dumps({"id": self._ids, "method": method, "params": parameters}).encode()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        began = time.monotonic()
        try:
            async with self._session().post(self._url, data=body, headers=headers) as response:
                payload = await _read(method, response)
                _judge_status(method, response.status, retry_after.seconds(response.headers.get("Retry-After"), datetime.now(UTC)))
        except aiohttp.ClientConnectorError as error:
            raise NotSent(f"{self._settings.url} can't be reached: {error.strerror or error}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise NotSent(f"{self._settings.url} does not accept connections in time") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unclear(f"{method} was sent and the answer is missing: {type(error).__name__} {error}") from error
        if time.monotonic() - began > self._settings.timeout:
            # This process stood still. Another one may have followed meanwhile, and then the next step of the posting is not this one's.
            raise Unclear(f"the answer to {method} was read after its time")
        return _result(method, payload)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=self._settings.timeout, sock_connect=min(10.0, self._settings.timeout))
            # A kept connection that the server closes meanwhile would turn a posting that was never read into a doubt.
            self._http = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True))
        return self._http

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None


async def _read(method: str, response: aiohttp.ClientResponse) -> bytes:
    payload = bytearray()
    async for chunk in response.content.iter_any():
        payload += chunk
        if len(payload) > MAX_ANSWER:
            raise Unclear(f"the answer to {method} is longer than {MAX_ANSWER} bytes")
    return bytes(payload)


class _Unauthorized(Exception):
    """The session is not, or no longer, valid."""


def _judge_status(method: str, status: int, wait: float | None) -> None:
    if status == 200:
        return
    if status == 401:
        raise _Unauthorized(f"Tryton refused the session in {method}")
    if status in {429, 503}:
        raise Busy(f"Tryton answered {method} with {status}: locked or too busy", wait)
    if 400 <= status < 500:
        raise Denied(f"Tryton answered {method} with {status}: {_MEANINGS.get(status, 'it does not accept the request')}")
    raise Unclear(f"the answer to {method} was {status}, which does not say whether it was executed")


_MEANINGS = {
    403: "the method does not exist there, or the user may not call it; is the Tryton module activated?",
    404: "the database does not exist",
    413: "the request is too large",
    422: "the parameters are not what the method expects",
}


def _result(method: str, payload: bytes) -> Json:
    try:
        answer = json.loads(payload, parse_float=Decimal, object_hook=_untyped)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise Unclear(f"the answer to {method} is not JSON: {error}") from error
    if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
        raise Unclear(f"the answer to {method} is neither result nor error")
    if "error" in answer:
        raise _error(answer["error"])
    return answer["result"]


def _error(error: object) -> RpcError:
    kind, arguments = "", []
    if isinstance(error, list) and error and isinstance(error[0], str):
        kind = error[0]
        arguments = error[1] if len(error) > 1 and isinstance(error[1], list) else []
    words = [a for a in arguments if isinstance(a, str)]
    if kind == "ConcurrencyException":
        return Changed("Somebody changed the same record in Tryton meanwhile.")
    if kind == "UserWarning" and len(words) > 1:
        return Failed(kind, words[1][:MAX_DETAIL], name=words[0])
    if kind == "UserError" and words:
        return Failed(kind, words[0][:MAX_DETAIL])
    return Failed("ServerError", kind[:MAX_DETAIL])


def _untyped(value: dict[str, Json]) -> Json:
    """Tryton's typed JSON in plain values: dates and times as ISO text (UTC, as Tryton keeps them), decimals as `Decimal`."""
    kind = value.get("__class__")
    if kind == "date":
        return f"{value['year']:04}-{value['month']:02}-{value['day']:02}"
    if kind == "datetime":
        day = f"{value['year']:04}-{value['month']:02}-{value['day']:02}"
        return f"{day}T{value['hour']:02}:{value['minute']:02}:{value['second']:02}.{value['microsecond']:06}"
    if kind == "Decimal":
        return Decimal(str(value["decimal"]))
    if kind == "timedelta":
        return value["seconds"]
    return value


def typed_date(day: str) -> Json:
    """An ISO day as Tryton's JSON wants it."""
    year, month, date = day.split("-")
    return {"__class__": "date", "year": int(year), "month": int(month), "day": int(date)}


def typed_time(moment: str) -> Json:
    """A moment as `_untyped` tells it, as Tryton's JSON wants it."""
    day, _, clock = moment.partition("T")
    hour, minute, rest = clock.split(":")
    second, _, micro = rest.partition(".")
    year, month, date = day.split("-")
    return {
        "__class__": "datetime", "year": int(year), "month": int(month), "day": int(date),
        "hour": int(hour), "minute": int(minute), "second": int(second), "microsecond": int(micro or 0),
    }  # fmt: skip


def typed_decimal(value: Decimal) -> Json:
    """A decimal as Tryton's JSON wants it."""
    return {"__class__": "Decimal", "decimal": str(value)}


def read_as(value: Json, type_: type[T], what: str) -> T:
    """A result as the type it must have; raises `ConnectorError` when Tryton answered something else."""
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        raise ConnectorError(f"Tryton answered {what} with something unexpected: {error}") from error
