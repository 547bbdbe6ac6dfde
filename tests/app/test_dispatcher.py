"""The dispatcher's process ends when it is told to, whatever its business systems do."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.app.test_faults import LEAST

from synchromesh.app import dispatcher as process
from synchromesh.app import roles
from synchromesh.app.dispatcher import Trouble, run_dispatcher
from synchromesh.app.reading import read_settings
from synchromesh.app.settings import Settings
from synchromesh.connectors.agreement import Abilities, Balance, ConnectorError, Finding, Grade, Pulled
from synchromesh.engine.presence import Presence
from synchromesh.log.agreement import LogFull
from synchromesh.model.posting import Posting, PostingKind, Reply

PATIENCE = 30.0


class Silent:
    """A business system that answers nothing; `asked` is set by the first pull."""

    abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind))

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.closed = False

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        raise AssertionError("there is nothing to post")

    async def find(self, key: str) -> Finding:
        raise ConnectorError("no answer")

    async def pull(self, cursor: str) -> Pulled:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("it never answers")

    async def balances(self, items: Sequence[str] = ()) -> list[Balance]:
        raise ConnectorError("no answer")

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "synchromesh.toml"
    config.write_text(LEAST, "utf-8")
    return read_settings(config)


async def stopped(settings: Settings, system: Silent) -> None:
    async with asyncio.timeout(PATIENCE):
        running = asyncio.create_task(run_dispatcher(settings))
        await system.asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await running


def test_a_stop_does_not_wait_for_a_pull_without_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Silent()
    for module in (process, roles):
        monkeypatch.setattr(module, "connector_of", lambda _: system)
    roles.prepare(settings)
    asyncio.run(stopped(settings, system))
    assert system.closed


@pytest.mark.parametrize(
    ("error", "failures", "said"),
    [
        (ConnectorError("no answer"), 1, []),
        (ConnectorError("no answer"), 3, ["system.lost", "system.back"]),
        (KeyError("a defect"), 1, []),
        (KeyError("a defect"), 3, ["pull.failed", "pull.back"]),
    ],
)
def test_what_cannot_be_read_is_said_once_and_read_later(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    failures: int,
    said: list[str],
) -> None:
    system = Silent()
    silence, tries = system.pull, 0

    async def pull(cursor: str) -> Pulled:
        nonlocal tries
        tries += 1
        if tries <= failures:
            raise error
        return Pulled([], "") if tries == failures + 1 else await silence(cursor)

    system.pull = pull  # type: ignore[method-assign]
    monkeypatch.setattr(process, "PULL", 0)
    for module in (process, roles):
        monkeypatch.setattr(module, "connector_of", lambda _: system)
    roles.prepare(settings)
    with caplog.at_level("INFO", "synchromesh"):
        asyncio.run(stopped(settings, system))
    assert caplog.messages == said


def test_a_stop_with_a_full_log_closes_everything(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Silent()
    for module in (process, roles):
        monkeypatch.setattr(module, "connector_of", lambda _: system)

    async def full(*_: object) -> None:
        raise LogFull("no room")

    monkeypatch.setattr(process.Dispatcher, "stop", full)
    roles.prepare(settings)
    asyncio.run(stopped(settings, system))
    assert system.closed


def test_a_system_that_answers_who_sends_is_not_lost_because_it_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    shown: list[str] = []
    presence = Presence("main", lambda: 0.0, shown.append)
    trouble = Trouble("main", presence)
    with caplog.at_level("INFO", "synchromesh"):
        for _ in range(3):
            trouble.failed(ConnectorError("no answer"))
            presence.sent(True)
        assert (caplog.messages, shown) == (["pull.failed"], [])
        presence.sent(False, "gone")
        trouble.over()
        assert shown == ["gone"], "what can be read does not say that it can be sent to"
        presence.sent(True)
    assert caplog.messages == ["pull.failed", "system.lost", "pull.back", "system.back"]
    assert shown == ["gone", ""]
