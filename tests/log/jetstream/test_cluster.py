"""A cluster of three loses servers under load: nothing that was acknowledged is lost, nothing is doubled, no position is skipped."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contracts.log import PATIENCE, message
from tests.nats.server import Cluster, Server

from synchromesh.log.agreement import Log, LogAway, LogError
from synchromesh.log.jetstream import JetStreamLog, Options

pytestmark = pytest.mark.slow

PLANTS = ("plant-1", "plant-2")
LONG = 40.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "nats") as cluster:
        yield cluster


@pytest.fixture
def open_log(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., JetStreamLog]]:
    opened: list[JetStreamLog] = []

    def open_one(patience: int = 30) -> JetStreamLog:
        opened.append(JetStreamLog(cluster.address, tmp_path, options=Options(patience=patience)))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


def leader(cluster: Cluster, log: JetStreamLog) -> Server:
    """The server that leads the stream."""

    async def ask() -> str:
        answer = await log._connection.api("STREAM.INFO.SYNCHROMESH", None, log._connection.now() + PATIENCE)
        return str(answer["cluster"]["leader"])

    return cluster.named(log._thread.call(ask()))


class Appender(threading.Thread):
    """Appends to both plants until it is told to stop, and keeps what it was told. What failed it appends again, under the same ids."""

    def __init__(self, name: str, log: Log) -> None:
        super().__init__(name=name)
        self._log = log
        self._ending = threading.Event()
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.doubtful: set[str] = set()
        self.appends = 0

    def run(self) -> None:
        while not self._ending.is_set():
            told = [message(PLANTS[part % 2], id=f"{self.name}-{self.appends}-{part}") for part in range(5)]
            try:
                positions = self._log.append(told)
            except LogError:
                self.doubtful.update(each.id for each in told)
            else:
                self.acknowledged.update(((each.partition, position), each.id) for each, position in zip(told, positions, strict=True))
            self.appends += 1

    def end(self) -> None:
        self._ending.set()
        self.join(LONG)
        assert not self.is_alive()

    def goes_on(self) -> None:
        """Wait until it has appended some more."""
        reached, deadline = len(self.acknowledged) + 50, time.monotonic() + LONG
        while len(self.acknowledged) < reached:
            assert time.monotonic() < deadline, f"{self.name} does not go on"
            self.join(0.01)


def everything(log: Log) -> dict[tuple[str, int], str]:
    """All messages by plant and position, read through from the beginning."""
    found: dict[tuple[str, int], str] = {}
    after = dict.fromkeys(PLANTS, 0)
    while records := log.read(after, 500):
        for plant, each in records.items():
            for record in each:
                assert record.position == after[plant] + 1
                after[plant] = record.position
                found[plant, record.position] = record.message.id
    assert after == log.head()
    return found


def judge(appenders: list[Appender], log: Log) -> None:
    found = everything(log)
    assert len(set(found.values())) == len(found), "a message is there twice"
    for appender in appenders:
        assert appender.acknowledged.items() <= found.items(), "what was acknowledged is not there"
    known = {id for appender in appenders for id in appender.acknowledged.values()} | {id for each in appenders for id in each.doubtful}
    assert set(found.values()) <= known


@pytest.mark.parametrize(("whom", "times"), [("the leader", 2), ("another", 1)])
def test_a_server_is_killed_and_comes_back_under_two_appenders(
    cluster: Cluster, open_log: Callable[..., JetStreamLog], whom: str, times: int
) -> None:
    logs = [open_log(), open_log()]
    appenders = [Appender(f"a{number}", log) for number, log in enumerate(logs)]
    for appender in appenders:
        appender.start()
    for _ in range(times):
        for appender in appenders:
            appender.goes_on()
        leading = leader(cluster, logs[0])
        victim = leading if whom == "the leader" else next(server for server in cluster.servers if server is not leading)
        victim.kill()
        for appender in appenders:
            appender.goes_on()
        victim.start()
        cluster.settle()
    for appender in appenders:
        appender.end()
    judge(appenders, open_log())


def test_with_two_of_three_down_everything_is_refused_in_time_and_goes_on_when_they_are_back(
    cluster: Cluster, open_log: Callable[..., JetStreamLog]
) -> None:
    log = open_log(patience=3)
    log.append([message() for _ in range(10)])
    for server in cluster.servers[:2]:
        server.kill()
    started = time.monotonic()
    with pytest.raises(LogAway, match="majority of the servers"):
        log.append([message()])
    # A server that leads and has not noticed yet still tells what it has, which is all that there can be.
    with contextlib.suppress(LogAway):
        assert log.head() == {"plant-1": 10}
    assert time.monotonic() - started < 16
    for server in cluster.servers[:2]:
        server.start()
    cluster.settle()
    before = log.head()["plant-1"]
    assert before in (10, 11), "the append whose answer never came may be there"
    assert log.append([message()]) == [before + 1]
    assert [record.position for record in log.read({"plant-1": 0}, 100)["plant-1"]] == list(range(1, before + 2))


def test_a_server_that_stands_still_is_left_for_another(cluster: Cluster, open_log: Callable[..., JetStreamLog]) -> None:
    """As when a line is half open: nothing is refused, and nothing comes."""
    log = open_log(patience=30)
    log.append([message()])
    client = log._connection.client
    assert client
    assert client.connected_url
    standing = next(server for server in cluster.servers if server.port == client.connected_url.port)
    os.kill(standing.pid, signal.SIGSTOP)
    try:
        assert log.append([message()]) == [2]
        assert log.head() == {"plant-1": 2}
    finally:
        os.kill(standing.pid, signal.SIGCONT)
    assert log.append([message()]) == [3]
