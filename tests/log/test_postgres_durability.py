"""What the log on PostgreSQL has acknowledged is there, once, whatever dies: the appender, the server, the line between them."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from tests.contracts.log import PATIENCE, Stall, message
from tests.log.lossy import ROOT
from tests.log.test_postgres import Stalling
from tests.postgres.proxy import Proxy
from tests.postgres.server import Server

from synchromesh.log.agreement import LogAway, Place
from synchromesh.log.postgres import open_log
from synchromesh.log.postgres.log import PostgresLog
from synchromesh.postgres.database import database


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> Place:
    return Place(postgres, tmp_path, tmp_path / "archive")


def kept(place: Place) -> list[tuple[str, int, str]]:
    """Everything that is in the log, read in order: partition, position, id."""
    log = open_log(place)
    found: list[tuple[str, int, str]] = []
    for partition, head in log.head().items():
        after = 0
        while after < head:
            records = log.read({partition: after}, 1000)[partition]
            assert [record.position for record in records] == list(range(after + 1, after + len(records) + 1))
            after = records[-1].position
            found += [(partition, record.position, record.message.id) for record in records]
    log.close()
    return found


# Appends lists of 1 to 30 messages to two partitions and prints what was acknowledged.
APPENDER = """
import sys
from pathlib import Path
from synchromesh.log.agreement import Place
from synchromesh.log.postgres import open_log
from tests.contracts.log import message

log = open_log(Place(sys.argv[1], Path(), Path()))
for number in range(1_000_000):
    told = [message("ab"[part % 2], b"x" * 400, f"{sys.argv[2]}-{number}-{part}") for part in range(number % 30 + 1)]
    for each, position in zip(told, log.append(told)):
        print(each.partition, position, each.id)
    sys.stdout.flush()
"""


def test_an_appender_killed_at_any_moment_loses_nothing_it_acknowledged_and_leaves_no_half_list(place: Place) -> None:
    acknowledged: list[tuple[str, int, str]] = []
    chance = random.Random(11)
    for life in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDER, place.address, str(life)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        ) as appender:
            assert appender.stdout
            lines = [appender.stdout.readline() for _ in range(chance.randrange(50, 2000))]
            appender.kill()
            lines += [line for line in appender.stdout.readlines() if line.endswith("\n")]
            acknowledged += [(partition, int(position), id) for partition, position, id in map(str.split, lines)]
    found = kept(place)
    assert set(acknowledged) <= set(found)
    ids = [id for _, _, id in found]
    assert len(set(ids)) == len(ids)
    lists: dict[str, int] = {}
    for id in ids:
        lists[id.rpartition("-")[0]] = lists.get(id.rpartition("-")[0], 0) + 1
    assert {name: size for name, size in lists.items() if size != int(name.split("-")[1]) % 30 + 1} == {}


class Busy:
    """Threads that append without a break, with lists that lie across partitions, and note what they were told."""

    def __init__(self, logs: list[PostgresLog]) -> None:
        self.acknowledged: list[tuple[str, int, str]] = []
        self.sent: set[str] = set()
        self.troubles: list[Exception] = []
        self._stop = threading.Event()
        self._numbers = count(1)
        self._threads = ThreadPoolExecutor(len(logs))
        self._running = [self._threads.submit(self._append, log, index) for index, log in enumerate(logs)]

    def _append(self, log: PostgresLog, index: int) -> None:
        while not self._stop.is_set():
            told = [message("ab"[part % 2], id=f"{index}-{next(self._numbers)}") for part in range(3)]
            self.sent.update(each.id for each in told)
            try:
                positions = log.append(told)
            except LogAway as error:
                self.troubles.append(error)
                continue
            self.acknowledged += [(each.partition, position, each.id) for each, position in zip(told, positions, strict=True)]

    def more(self) -> None:
        """Wait until something was acknowledged that was not before."""
        before = len(self.acknowledged)
        deadline = threading.Event()
        for _ in range(int(PATIENCE * 100)):
            if len(self.acknowledged) > before + 30:
                return
            deadline.wait(0.01)
        raise AssertionError("nothing is acknowledged any more")

    def end(self) -> None:
        self._stop.set()
        for each in self._running:
            each.result(3 * PATIENCE)


@contextmanager
def busy(place: Place, threads: int = 4) -> Iterator[Busy]:
    logs = [open_log(place) for _ in range(threads)]
    at_work = Busy(logs)
    try:
        at_work.more()
        yield at_work
        at_work.more()
    finally:
        at_work.end()
        for log in logs:
            log.close()


def _all_of_it_once(place: Place, at_work: Busy) -> None:
    found = kept(place)
    assert at_work.troubles == []
    assert sorted(found) == sorted(at_work.acknowledged)
    assert {id for _, _, id in found} == at_work.sent
    assert len(found) == len(at_work.sent)


@pytest.mark.parametrize("again", ["restart", "crash", "cut"])
def test_appends_go_on_over_what_happens_to_the_server_and_each_one_is_there_once(
    postgres_server: Server, place: Place, again: str
) -> None:
    name = place.address.rsplit("/", 1)[1]
    doing: dict[str, Callable[[], object]] = {
        "restart": postgres_server.restart,
        "crash": lambda: (postgres_server.crash(), postgres_server.start()),
        "cut": lambda: postgres_server.cut(name),
    }
    with busy(place) as at_work:
        for _ in range(3):
            doing[again]()
            at_work.more()
    _all_of_it_once(place, at_work)


@pytest.fixture
def line(postgres_server: Server) -> Iterator[Proxy]:
    proxy = Proxy(postgres_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def far(postgres_server: Server, place: Place, line: Proxy) -> Iterator[PostgresLog]:
    """The log at the other end of a line that can fail."""
    # Not encrypted, so that the line knows what it carries.
    address = place.address.replace(str(postgres_server.port), str(line.port)) + "?sslmode=disable"
    log = PostgresLog(database(address), place.archive)
    yield log
    log.close()


def test_an_append_whose_answer_is_lost_is_found_and_not_written_again(place: Place, far: PostgresLog, line: Proxy) -> None:
    near = open_log(place)
    for number in range(1, 6):
        line.lose_the_answer(b"body-of-it")
        assert far.append([message(id=f"a{number}", body=b"body-of-it"), message("b", id=f"b{number}")]) == [2 * number - 1, number]
        assert line.lost.is_set()
        assert near.append([message(id=f"c{number}")]) == [2 * number]
    near.close()
    assert [id for name, _, id in kept(place) if name == "plant-1"] == [f"{kind}{number}" for number in range(1, 6) for kind in "ac"]


def test_an_append_that_the_server_still_works_at_when_it_is_called_again_is_written_once(
    postgres_server: Server, place: Place, far: PostgresLog, line: Proxy
) -> None:
    stall = Stall()
    first = open_log(place)
    first._appender._connections = Stalling(first._connections, stall)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with ThreadPoolExecutor(2) as threads:
        held = threads.submit(first.append, [message(id="first")])
        assert stall.inside.wait(PATIENCE)
        behind = threads.submit(far.append, [message(id="second")])
        _until(postgres_server, waiting, 1)
        line.drop()
        # The server has not noticed: the call that lost its connection and the one that was made again wait side by side.
        _until(postgres_server, waiting, 2)
        stall.go.set()
        assert held.result(PATIENCE) == [1]
        assert behind.result(PATIENCE) == [2]
    _until(postgres_server, waiting, 0)
    first.close()
    assert [id for _, _, id in kept(place)] == ["first", "second"]


def _until(server: Server, query: str, number: int) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if server.run(query) == [(number,)]:
            return
        pause.wait(0.01)
    raise AssertionError(f"{query} is not {number}")


def test_a_server_that_stays_away_is_told_after_a_while_and_the_log_goes_on_when_it_is_back(postgres_server: Server, place: Place) -> None:
    log = PostgresLog(database(place.address), place.archive, patience=0.2)
    log.append([message()])
    postgres_server.stop()
    with pytest.raises(LogAway, match="not known; let them be sent again later"):
        log.append([message()])
    for ask in (log.head, lambda: log.read({"plant-1": 0}, 1), lambda: log.wait({"plant-1": 1}, 0), lambda: log.trim("plant-1", 1)):
        with pytest.raises(LogAway, match="later"):
            ask()
    postgres_server.start()
    assert log.append([message()]) == [2]
    assert log.head() == {"plant-1": 2}
    log.close()
