"""One posted request from its bytes to its answer: read, store, and only then acknowledge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from synchromesh.edges.agreement import Busy, Intake
from synchromesh.edges.catalogue import Catalogue
from synchromesh.edges.http.answer import JSON, Refused, Response
from synchromesh.edges.http.read import read
from synchromesh.edges.http.route import Route, wanted_wait
from synchromesh.log.agreement import LogAway, LogError, LogFull
from synchromesh.model.message import Message
from synchromesh.observe.lines import emit
from synchromesh.observe.names import REQUEST_FAILED, REQUEST_REFUSED

RETRY_AFTER: Final = 5
"""Seconds after which a source may try again when the log could not store; a full disk is not freed at once."""

_CONTENT: Final = (b"content-type", JSON)


class Settled(Protocol):
    """Waits until the fact at a position is decided."""

    async def __call__(self, plant: str, position: int, seconds: float) -> Mapping[str, object] | None:
        """The fact's fate and documents, ready to be JSON; None when that is still open after `seconds`."""
        ...


class Ingest:
    """Answers what is posted to the routes of `route`. `clock` gives the aware time of receipt."""

    def __init__(self, intake: Intake, catalogue: Catalogue, settled: Settled, clock: Callable[[], datetime]) -> None:
        self.catalogue = catalogue
        self._intake = intake
        self._settled = settled
        self._clock = clock

    async def answer(self, route: Route, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Response:
        """202 when the messages are durable, 200 when the caller waited and all are decided, else a problem. Never raises.

        Sending the same request again is answered alike: the plant tells repeats by their identity.
        """
        try:
            seconds = wanted_wait(query, headers)
            messages = read(route, headers, body, self._clock(), self.catalogue)
            positions = await self._store(messages)
            if seconds:
                return await self._decided(route.plant, messages, positions, seconds)
            return _accepted(route.plant, messages, positions)
        except Refused as refused:
            return refused.response(path)
        except Exception:  # noqa: BLE001 - told as a line, with its traceback
            emit(REQUEST_FAILED, path=path)
            return Refused(500, "the server failed; what was sent may or may not be stored, so send it again unchanged").response(path)

    async def _store(self, messages: Sequence[Message]) -> list[int]:
        try:
            return await self._intake.accept(messages)
        except Busy as busy:
            raise Refused(503, str(busy), headers={"retry-after": str(math.ceil(busy.retry_after))}) from None
        except LogFull as error:
            raise Refused(507, f"nothing was stored: {error}", headers={"retry-after": str(RETRY_AFTER)}) from error
        except LogAway as error:
            emit(REQUEST_REFUSED, error=str(error))
            told = f"what was sent may or may not be stored, so send it again unchanged: {error}"
            raise Refused(503, told, headers={"retry-after": str(RETRY_AFTER)}) from error
        except LogError as error:
            emit(REQUEST_REFUSED, error=str(error))
            raise Refused(503, f"nothing was stored: {error}", headers={"retry-after": str(RETRY_AFTER)}) from error

    async def _decided(self, plant: str, messages: Sequence[Message], positions: Sequence[int], seconds: float) -> Response:
        """Wait for the fates, together at most `seconds`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        entries: list[dict[str, object]] = []
        decided = 0
        for message, position in zip(messages, positions, strict=True):
            entry: dict[str, object] = {"id": message.id, "position": position}
            fact = await self._settled(plant, position, max(0.0, until - loop.time()))
            if fact is not None:
                entry["fact"] = fact
                decided += 1
            entries.append(entry)
        headers = (*_headers(plant, positions), (b"preference-applied", b"wait=%d" % seconds))
        return Response(200 if decided == len(entries) else 202, msgspec.json.encode({"accepted": entries}), headers)


def _accepted(plant: str, messages: Sequence[Message], positions: Sequence[int]) -> Response:
    entries = b",".join(
        [
            b'{"id":%b,"position":%d}' % (msgspec.json.encode(message.id), position)
            for message, position in zip(messages, positions, strict=True)
        ]
    )
    return Response(202, b'{"accepted":[%b]}' % entries, _headers(plant, positions))


def _headers(plant: str, positions: Sequence[int]) -> tuple[tuple[bytes, bytes], ...]:
    """Where to look for the fact, when it is one."""
    if len(positions) != 1:
        return (_CONTENT,)
    return (_CONTENT, (b"location", b"/v1/plants/%b/facts/%d" % (plant.encode(), positions[0])))
