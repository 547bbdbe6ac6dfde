"""What the tests of the log on JetStream share: a server, and a plain client beside the log."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.nats.server import Server

import nats
from synchromesh.log.jetstream import JetStreamLog, Options

_NUMBERS = itertools.count(1)


class Beside:
    """Does with a server what an operator or a stranger would, past the log."""

    def __init__(self, address: str) -> None:
        self._address = address

    def api(self, name: str, question: object = None) -> Any:
        """What the JetStream API answers; it must not be an error."""
        answer = json.loads(self._ask(f"$JS.API.{name}", json.dumps(question).encode() if question is not None else b"", {}))
        assert "error" not in answer, answer
        return answer

    def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> Any:
        answer = json.loads(self._ask(subject, payload, headers))
        assert "error" not in answer, answer
        return answer

    def _ask(self, subject: str, payload: bytes, headers: dict[str, str]) -> bytes:
        async def ask() -> bytes:
            async with await nats.connect(self._address) as client:
                return (await client.request(subject, payload, timeout=5, headers=headers or None)).data

        return asyncio.run(ask())


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def beside(server: Server) -> Beside:
    return Beside(server.address)


@pytest.fixture
def stream() -> str:
    """A stream of the test's own."""
    return f"TEST{next(_NUMBERS)}"


Opens = Callable[..., JetStreamLog]


@pytest.fixture
def opens(server: Server, stream: str, tmp_path: Path) -> Iterator[Opens]:
    """Opens the log; options by name, and where it is not the shared server, the address."""
    opened: list[JetStreamLog] = []

    def open_one(address: str = "", folder: Path | None = None, **options: Any) -> JetStreamLog:
        told = {"stream": stream, "patience": 3, **options}
        opened.append(JetStreamLog(address or server.address, folder or tmp_path, options=Options(**told)))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()
