"""A stub ERP whose document numbers tell when the posting arrived: microseconds since 1970, then a serial of seven digits."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from typing import Final

import msgspec
import uvloop

from synchromesh.connectors.sandbox.stub import Stub
from synchromesh.connectors.sandbox.wire import Answer, Request, json_answer, listen
from synchromesh.model.posting import Fate, Reply

SERIAL = 10_000_000


class _Keyed(msgspec.Struct):
    """Of a posting, its key."""

    key: str


_keys: Final = msgspec.json.Decoder(list[_Keyed]).decode


class ClockedStub(Stub):
    """The stub, but for the numbers."""

    def respond(self, request: Request) -> Answer:
        """Answer one request; a repeated key gets its first number."""
        if request.method != "POST":
            return super().respond(request)
        now = time.time_ns() // 1000
        replies = []
        for posting in _keys(request.body):
            number = self.documents.get(posting.key)
            if number is None:
                number = self.documents[posting.key] = str(now * SERIAL + len(self.documents))
            replies.append(Reply(posting.key, Fate.POSTED, number))
        return json_answer(replies)


def arrived(document: str) -> int:
    """When the posting with this document arrived, in microseconds since 1970."""
    return int(document) // SERIAL


async def _serve() -> None:
    server, url = await listen(ClockedStub().respond, 0)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(msgspec.json.encode({"url": url}).decode() + "\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()


if __name__ == "__main__":
    gc.disable()  # keys and numbers only grow, and hold no cycles
    uvloop.run(_serve())
