"""The line to the servers: a client that is replaced when it breaks, and questions that are always answered or given up in time.

Everything here runs in the event loop of the log's own thread (`LoopThread`). The client's own way to reconnect is not used: it keeps what
was to be sent and sends it later, when the one who asked has long been told that it failed.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import msgspec
import nats.errors
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from synchromesh.log.agreement import LogAway, LogError
from synchromesh.log.jetstream.access import Access, Exposed

CONNECT_SECONDS: Final = 2
TRY_SECONDS: Final = 3.0
"""How long one question may take before another server is asked."""
PING_SECONDS: Final = 2
_CLOSE_SECONDS: Final = 0.5
_PAUSES: Final = (0.02, 0.05, 0.1, 0.25, 0.5)
_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"
_OVER: Final = {"204", "404", "408", "413"}
"""What ends the answers to one question: all told, nothing found, a question that can't be answered, too much asked for."""

_T = TypeVar("_T")


class Unanswered(Exception):
    """No answer came. `sent` says whether the question may have reached a server."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Refused(Exception):
    """A server answered that it won't: the number and the words of JetStream."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class LoopThread:
    """An event loop on a thread of its own, where other threads have coroutines run."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine, which bounds its own time."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Cancel what still runs, then end the thread."""
        self.call(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel(self) -> None:
        tasks = [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Question:
    """One question and the answers so far."""

    __slots__ = ("answers", "done", "heard", "single")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, single: bool) -> None:
        self.answers: list[Msg] = []
        self.done: asyncio.Future[None] = loop.create_future()
        self.heard = loop.time()
        self.single = single


class Connection:
    """One client at a time; when it breaks, what was asked hears it at once and the next server is tried.

    `lost` and `restored` are called, in the loop, when the line breaks and when there is a new one.
    """

    def __init__(self, access: Access, lost: Callable[[], None], restored: Callable[[], None]) -> None:
        self._access = access
        self._lost = lost
        self._restored = restored
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._questions: dict[str, _Question] = {}
        self._inbox = ""
        self._asked = 0
        self._next = 0
        self._closed = False
        self._keeping: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._ready = asyncio.Event()
        self._denied = ""
        self.trouble = "no server has answered yet"

    # The client and its end

    async def open(self) -> None:
        """Connect to any of the servers. Raises `LogError` with what each of them said."""
        said: dict[str, _Failed] = {}
        for server in self._access.servers:
            try:
                await self._connect(server)
            except _Failed as failed:
                said[server] = failed
            else:
                self._keeping = self._loop.create_task(self._keep())
                return
        kind = LogAway if all(failed.away for failed in said.values()) else LogError
        raise kind("opening the log: " + "; ".join(f"{server}: {failed}" for server, failed in said.items()))

    async def close(self) -> None:
        self._closed = True
        if self._keeping:
            self._keeping.cancel()
        if self._client:
            await self._client.close()
        self._fail_all("the log is closed")

    def now(self) -> float:
        """The loop's clock, by which deadlines are told."""
        return self._loop.time()

    @property
    def client(self) -> Client | None:
        """The client while there is a line."""
        return self._client

    @property
    def info(self) -> Mapping[str, Any]:
        """What the connected server says of itself."""
        return self._client._server_info if self._client else {}

    async def _connect(self, server: str) -> None:
        client = Client()
        heard: list[BaseException] = []

        async def note(error: Exception) -> None:
            heard.append(error)
            if "permissions violation" in str(error).lower():
                self._denied = f"; the server has said: {error}"

        async def closed() -> None:
            self._end(client, heard)

        def secure() -> bool:
            return not self._access.encrypted or bool(client._server_info.get("tls_required"))

        encryption: dict[str, Any] = {"tls": self._access.tls()} if self._access.encrypted or self._access.options.ca else {}
        try:
            await client.connect(
                servers=[server], error_cb=note, closed_cb=closed, allow_reconnect=False, max_reconnect_attempts=1,
                reconnect_time_wait=0, connect_timeout=CONNECT_SECONDS, ping_interval=PING_SECONDS, max_outstanding_pings=2,
                name="synchromesh", **encryption, **self._access.login(secure),
            )  # fmt: skip
            if not secure():
                raise Exposed
            await self._listen(client)
        except Exception as error:
            await _end_quietly(client)
            raise _failed(error, heard, encrypted=self._access.encrypted) from error
        self._client = client
        self._broken.clear()
        self._ready.set()

    async def _listen(self, client: Client) -> None:
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._answer, pending_msgs_limit=0, pending_bytes_limit=0)
        if client.is_closed:
            raise nats.errors.ConnectionClosedError

    async def subscribe(self, client: Client, inbox: str, take: Callable[[Msg], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Have messages to an inbox taken as they come; what ends that. Raises `Unanswered` where the client has ended."""
        try:
            subscription = await client.subscribe(inbox, cb=take, pending_msgs_limit=0, pending_bytes_limit=0)
        except nats.errors.Error as error:
            raise Unanswered(str(error), sent=False) from error

        async def end() -> None:
            if client is self._client:
                await subscription.unsubscribe()

        return end

    def _end(self, client: Client, heard: list[BaseException]) -> None:
        """A client has closed: by itself, because its server is gone, or because we gave it up."""
        if client is not self._client:
            return
        self._client = None
        self._ready.clear()
        self.trouble = str(heard[-1]) if heard else "the connection was closed"
        self._fail_all(self.trouble)
        self._broken.set()
        self._lost()

    async def _keep(self) -> None:
        """Replace the client whenever it ends."""
        while True:
            await self._broken.wait()
            attempt = 0
            while self._client is None:
                self._next += 1
                server = self._access.servers[self._next % len(self._access.servers)]
                try:
                    await self._connect(server)
                except _Failed as failed:
                    self.trouble = f"{server}: {failed}"
                    await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                    attempt += 1
            self._restored()

    def suspect(self, client: Client) -> None:
        """A server that does not answer may be cut off: leave it."""
        if client is self._client:
            self._end(client, [])
            self.trouble = "the server did not answer"
            self._loop.create_task(_end_quietly(client))

    def _fail_all(self, why: str) -> None:
        for question in self._questions.values():
            if not question.done.done():
                question.done.set_exception(Unanswered(why, sent=True))
        self._questions.clear()

    # Questions

    async def _answer(self, message: Msg) -> None:
        question = self._questions.get(message.subject.rpartition(".")[2])
        if question is None or question.done.done():
            return
        question.answers.append(message)
        question.heard = self._loop.time()
        if question.single or status_of(message) in _OVER | {_NO_RESPONDERS}:
            question.done.set_result(None)

    async def ready(self, deadline: float) -> Client:
        """The client, when there is one in time. Raises `Unanswered`."""
        while self._client is None:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._ready.wait()
            except TimeoutError:
                raise Unanswered(self.trouble, sent=False) from None
        return self._client

    async def ask(self, subject: str, payload: bytes, headers: Mapping[str, str] | None, deadline: float) -> Msg:
        """One answer. Raises `Unanswered`."""
        return (await self._put(subject, payload, headers, deadline, single=True))[0]

    async def ask_for_all(self, subject: str, payload: bytes, deadline: float) -> list[Msg]:
        """All answers until the server says that these are all. Raises `Unanswered`."""
        return [message for message in await self._put(subject, payload, None, deadline, single=False) if not status_of(message)]

    async def tell(self, subject: str, payload: bytes, headers: Mapping[str, str] | None) -> None:
        """Send and expect nothing. Raises `Unanswered`."""
        client = self._client
        if client is None:
            raise Unanswered(self.trouble, sent=False)
        await self._publish(client, subject, payload, "", headers)

    async def _publish(self, client: Client, subject: str, payload: bytes, reply: str, headers: Mapping[str, str] | None) -> None:
        try:
            await client.publish(subject, payload, reply, dict(headers) if headers else None)
        except (nats.errors.Error, OSError) as error:
            raise Unanswered(str(error), sent=True) from error

    async def _put(self, subject: str, payload: bytes, headers: Mapping[str, str] | None, deadline: float, *, single: bool) -> list[Msg]:
        client = await self.ready(deadline)
        self._asked += 1
        key = str(self._asked)
        question = self._questions[key] = _Question(self._loop, single=single)
        try:
            await self._publish(client, subject, payload, f"{self._inbox}.{key}", headers)
            await self._until(question, client, deadline)
        finally:
            self._questions.pop(key, None)
        if status_of(question.answers[-1]) == _NO_RESPONDERS:
            raise Unanswered("nobody on the servers answers for it", sent=False)
        return question.answers

    async def _until(self, question: _Question, client: Client, deadline: float) -> None:
        """Wait for the end of the answers, as long as they go on."""
        while not question.done.done():
            until = min(deadline, question.heard + TRY_SECONDS)
            if self._loop.time() >= until:
                question.done.cancel()
                if self._loop.time() >= question.heard + TRY_SECONDS:
                    self.suspect(client)
                raise Unanswered(f"no answer in time{self._denied}", sent=True)
            await asyncio.wait([question.done], timeout=until - self._loop.time())
        question.done.result()

    async def api(self, name: str, question: object, deadline: float) -> Any:
        """What the JetStream API answers, asked again until the deadline while there is nobody to answer (an election, a restart).

        Raises `Refused` when it says no, `Unanswered` when nobody says anything.
        """
        payload = b"" if question is None else msgspec.json.encode(question)
        return await self.again(lambda: self._api(name, payload, deadline), deadline)

    async def _api(self, name: str, payload: bytes, deadline: float) -> Any:
        message = await self.ask(f"$JS.API.{name}", payload, None, deadline)
        answer = msgspec.json.decode(message.data)
        if error := answer.get("error"):
            raise refusal(error)
        return answer

    async def again(self, attempt: Callable[[], Awaitable[_T]], deadline: float) -> _T:
        """The first result that an attempt has; `Unanswered` once the deadline is over."""
        number = 0
        while True:
            try:
                return await attempt()
            except Unanswered:
                pause = _PAUSES[min(number, len(_PAUSES) - 1)]
                if self._closed or self._loop.time() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
            number += 1


class _Failed(Exception):
    """A server could not be connected to; why, in words. `away` says that it may work later as it is."""

    def __init__(self, why: str, *, away: bool) -> None:
        super().__init__(why)
        self.away = away


_ELECTING: Final = {10008, 10009, 10043}
"""The system is not available for the moment: there is no leader, or it is not ready."""


def refusal(error: Mapping[str, Any]) -> Exception:
    """The exception for an error of the JetStream API."""
    code = int(error.get("err_code", 0))
    why = str(error.get("description", ""))
    return Unanswered(why, sent=False) if code in _ELECTING else Refused(code, why)


def status_of(message: Msg) -> str:
    """The status that a server gives instead of content, '' for content."""
    return message.headers.get(_STATUS, "") if message.headers else ""


async def _end_quietly(client: Client) -> None:
    """Close a client that is of no use, as far as it can be: after a refused certificate closing never ends."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
    except (OSError, nats.errors.Error, TimeoutError):
        return


def _failed(error: BaseException, heard: list[BaseException], *, encrypted: bool) -> _Failed:
    """Why a server can't be connected to and what to do."""
    cause = error if not isinstance(error, nats.errors.NoServersError) or not heard else heard[-1]
    said = str(cause) or type(cause).__name__
    if isinstance(cause, Exposed):
        why = "the server offers no encryption, and the address says tls://; no secret was told to it; use a server with TLS"
    elif isinstance(cause, ssl.SSLError):
        why = f"the encrypted line can't be made ({said}); check `ca`, `certificate` and `key`, and that the certificate is this host's"
    elif "authorization" in said.lower() or "authentication" in said.lower():
        why = f"the server refuses the login ({said}); check user, password, `token` and `credentials`"
    else:
        hint = ", and that it speaks TLS" if encrypted else ""
        return _Failed(f"no connection ({said}); check the address and that the server runs{hint}", away=True)
    return _Failed(why, away=False)
