"""Appending when answers are lost, when others append too, and when the server goes away meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contracts.log import PATIENCE, message
from tests.log.jetstream.conftest import Opens
from tests.nats.server import Server

from synchromesh.log.agreement import LogAway, LogError
from synchromesh.log.jetstream import JetStreamLog
from synchromesh.log.jetstream.connection import Connection, Refused, Unanswered
from synchromesh.log.jetstream.tail import Tail

ONE = [message("a", id="first"), message("a", id="second")]
SEVERAL = [message("a", id="first"), message("b", id="of b"), message("a", id="second")]


def ids(log: JetStreamLog) -> dict[str, list[str]]:
    found = log.read({"a": 0, "b": 0, "c": 0}, 1000)
    for records in found.values():
        assert [record.position for record in records] == list(range(1, len(records) + 1))
    return {partition: [record.message.id for record in records] for partition, records in found.items()}


def lose(
    log: JetStreamLog, monkeypatch: pytest.MonkeyPatch, *, stored: bool, meanwhile: Callable[[], object] = lambda: None, times: int = 1
) -> None:
    """Lose the next answers to what is published: after it was stored, or before it could be."""
    left = [times]
    real = Connection.ask

    async def ask(self: Connection, subject: str, payload: bytes, headers: object, deadline: float) -> object:
        if self is not log._connection or ".log." not in subject or not left[0]:
            return await real(self, subject, payload, headers, deadline)  # type: ignore[arg-type]
        left[0] -= 1
        if stored:
            await real(self, subject, payload, headers, deadline)  # type: ignore[arg-type]
        meanwhile()
        raise Unanswered("lost", sent=True)

    monkeypatch.setattr(Connection, "ask", ask)


@pytest.mark.parametrize("told", [ONE, SEVERAL])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_answer_stores_nothing_twice(opens: Opens, monkeypatch: pytest.MonkeyPatch, told: list, stored: bool, times: int) -> None:
    log = opens(patience=10)
    log.append([message("a", id="zero"), message("b", id="zero")])
    lose(log, monkeypatch, stored=stored, times=times)
    assert log.append(told) == ([2, 3] if told is ONE else [2, 2, 3])
    log.append([message("a", id="last")])
    assert ids(log) == {"a": ["zero", "first", "second", "last"], "b": ["zero"] if told is ONE else ["zero", "of b"]}


@pytest.mark.parametrize("told", [ONE, SEVERAL])
@pytest.mark.parametrize("stored", [True, False])
def test_a_lost_answer_is_settled_when_another_has_come_behind(
    opens: Opens, monkeypatch: pytest.MonkeyPatch, told: list, stored: bool
) -> None:
    log, other = opens(patience=10), opens()
    lose(log, monkeypatch, stored=stored, meanwhile=lambda: other.append([message("a", id="other")]))
    first = 1 if stored else 2
    assert log.append(told) == ([first, first + 1] if told is ONE else [first, 1, first + 1])
    assert ids(log)["a"] == (["first", "second", "other"] if stored else ["other", "first", "second"])
    assert ids(log) == ids(other)


@pytest.mark.parametrize("told", [ONE, SEVERAL])
@pytest.mark.parametrize("first", [True, False])
def test_a_server_that_stood_still_and_believes_to_lead_settles_nothing(
    opens: Opens, monkeypatch: pytest.MonkeyPatch, told: list, first: bool
) -> None:
    """It refuses what was stored already, and knows nothing of what was stored: neither means that ours was not."""
    log, other = opens(patience=10), opens()
    meanwhile = (lambda: None) if first else (lambda: other.append([message("b" if told is SEVERAL else "a", id="other")]))
    lose(log, monkeypatch, stored=first, meanwhile=meanwhile)
    real, left = Connection.api, [3]

    async def api(self: Connection, name: str, question: object, deadline: float) -> object:
        if self is log._connection and "MSG.GET" in name and left[0]:
            left[0] -= 1
            raise Refused(10037, "no message found")
        return await real(self, name, question, deadline)

    monkeypatch.setattr(Connection, "api", api)
    monkeypatch.setattr(Tail, "append_at", lambda *_: None)
    log.append(told)
    assert sorted(ids(log)["a"]) == sorted(["first", "second"] + ([] if first or told is SEVERAL else ["other"]))
    assert not left[0]


def test_an_answer_that_never_comes_is_told_as_unknown(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opens(patience=1)
    lose(log, monkeypatch, stored=True, times=1_000)
    with pytest.raises(LogAway, match="it is not known whether the messages were stored"):
        log.append(ONE)
    monkeypatch.undo()
    assert log.append([message("a", id="next")]) == [3]
    assert ids(log) == {"a": ["first", "second", "next"]}


def test_all_or_none_when_another_is_first_in_one_of_the_partitions(opens: Opens) -> None:
    log, other = opens(), opens()
    log.append(SEVERAL)
    with ThreadPoolExecutor(8) as threads:
        appends = [threads.submit((log, other)[number % 2].append, SEVERAL) for number in range(30)]
        positions = sorted(append.result(PATIENCE) for append in appends)
    assert positions == [[3 + 2 * number, 2 + number, 4 + 2 * number] for number in range(30)]
    assert ids(log) == {"a": ["first", "second"] * 31, "b": ["of b"] * 31}


def test_a_busy_appender_does_not_starve_another(opens: Opens) -> None:
    busy, quiet = opens(), opens()
    ending = threading.Event()
    count = [0]

    def append() -> None:
        while not ending.is_set():
            busy.append([message("a")])
            count[0] += 1

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(append)
        quiet.wait({"a": 10}, PATIENCE)
        before = count[0]
        for _ in range(50):
            quiet.append([message("a")])
        between = count[0] - before
        ending.set()
        working.result(PATIENCE)
    assert between < 500


def test_appends_of_many_threads_share_messages_of_the_stream(opens: Opens) -> None:
    log = opens()
    with ThreadPoolExecutor(16) as threads:
        positions = list(threads.map(lambda _: log.append([message("a"), message("c")]), range(200)))
    assert sorted(positions) == [[number, number] for number in range(1, 201)]
    assert log._tail.sequence < 400 * 0.7


def test_appends_of_a_partition_keep_their_order_whatever_fits_together(opens: Opens) -> None:
    log = opens()
    large, small = [b"x" * 3_000_000], [b"y"]

    async def at_once() -> list[dict[str, int]]:
        return await asyncio.gather(*(log._writer.append({"a": bodies}) for bodies in (small, large, large, small, small)))

    assert [firsts["a"] for firsts in log._thread.call(at_once())] == [1, 2, 3, 4, 5]


def test_a_tail_that_fails_for_any_reason_begins_again(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    log, other = opens(), opens()
    real, left = Connection.subscribe, [2]

    async def failing(self: Connection, *words: object) -> object:
        if self is log._connection and left[0]:
            left[0] -= 1
            raise RuntimeError("whatever")
        return await real(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "subscribe", failing)
    log._thread.loop.call_soon_threadsafe(log._tail.interrupted)
    deadline = time.monotonic() + PATIENCE
    while left[0]:
        assert time.monotonic() < deadline
        log.head()
    other.append([message("a")])
    assert log.wait({"a": 0}, PATIENCE)
    assert log.head() == {"a": 1}


def test_a_server_that_restarts_is_found_again_and_nothing_is_lost(opens: Opens, tmp_path: Path) -> None:
    server = Server(tmp_path / "nats").start()
    try:
        log = opens(server.address, patience=15)
        log.append(SEVERAL)
        server.kill()
        with ThreadPoolExecutor(2) as threads:
            waiting = threads.submit(log.append, [message("c", id="patient")])
            news = threads.submit(log.wait, {"c": 0}, PATIENCE)
            server.start()
            assert waiting.result(PATIENCE) == [1]
            assert news.result(PATIENCE)
        assert log.head() == {"a": 2, "b": 1, "c": 1}
        assert ids(log) == {"a": ["first", "second"], "b": ["of b"], "c": ["patient"]}
    finally:
        server.kill()


def test_without_a_server_everything_is_refused_in_time(opens: Opens, tmp_path: Path) -> None:
    server = Server(tmp_path / "nats").start()
    log = opens(server.address, patience=1)
    log.append(SEVERAL)
    server.kill()
    for ask in (lambda: log.append(ONE), log.head, lambda: log.read({"a": 0}, 5), lambda: log.trim("a", 1)):
        started = time.monotonic()
        with pytest.raises(LogAway, match="can be reached"):
            ask()
        assert time.monotonic() - started < 5
    assert not log.wait({"a": 2}, 0.01)


def test_a_server_that_stands_still_is_given_up_in_time_and_taken_again(opens: Opens, tmp_path: Path) -> None:
    with Server(tmp_path / "nats") as server:
        log = opens(server.address, patience=2)
        log.append(SEVERAL)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for ask in (lambda: log.append([message("c", id="unknown")]), log.head):
                started = time.monotonic()
                with pytest.raises(LogAway):
                    ask()
                assert time.monotonic() - started < 6
        finally:
            os.kill(server.pid, signal.SIGCONT)
        log.wait({"c": 0}, 1.0)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                heads = log.head()
                break
            except LogAway:
                assert time.monotonic() < deadline
        assert log.append([message("c", id="after")]) == [heads.get("c", 0) + 1]
        assert ids(log)["c"] == ["unknown", "after"][-1 - heads.get("c", 0) :]


def test_what_can_not_be_encoded_is_refused_before_anything_is_sent(opens: Opens) -> None:
    log = opens()
    with pytest.raises(LogError):
        log.append([message("a", id="\ud800")])
    assert log.head() == {}
