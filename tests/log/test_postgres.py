"""The log on PostgreSQL keeps the contract among openings, threads and processes."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from tests.contracts.log import PATIENCE, SharedLogContract, Stall, TransactionalLogContract, message
from tests.postgres.pooler import pooling
from tests.postgres.server import Server

from synchromesh.log.agreement import Log, LogCorrupt, LogError, LogFull, Place
from synchromesh.log.archive import read_archive
from synchromesh.log.postgres import open_log, reading, trimming
from synchromesh.log.postgres.appending import signed
from synchromesh.log.postgres.log import PostgresLog
from synchromesh.log.postgres.tables import KINDS
from synchromesh.postgres.connections import Connection, Connections
from synchromesh.postgres.connections import pooled as pooled_connection


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> Place:
    return Place(postgres, tmp_path, tmp_path / "archive")


@pytest.fixture
def log(place: Place) -> Iterator[PostgresLog]:
    log = open_log(place)
    yield log
    log.close()


class Stalling(Connections):
    """Connections whose transactions stop before they commit."""

    def __init__(self, of: Connections, stall: Stall) -> None:
        super().__init__(of.database, KINDS)
        self._stall = stall

    @contextmanager
    def one(self) -> Iterator[Connection]:
        with super().one() as connection, connection.transaction():
            yield connection
            self._stall.here()


class TestPostgresLog(TransactionalLogContract):
    @pytest.fixture
    def log(self, place: Place) -> Iterator[PostgresLog]:
        log = open_log(place)
        yield log
        log.close()

    @pytest.fixture
    def again(self, place: Place) -> Iterator[Callable[[], Log]]:
        opened: list[PostgresLog] = []

        def open_again() -> Log:
            opened.append(open_log(place))
            return opened[-1]

        yield open_again
        for log in opened:
            log.close()

    @pytest.fixture
    def stalling(self, again: Callable[[], PostgresLog]) -> Callable[[Stall], Log]:
        def open_stalling(stall: Stall) -> Log:
            log = again()
            log._appender._connections = Stalling(log._connections, stall)
            return log

        return open_stalling


class TestPostgresLogBehindAPooler(SharedLogContract):
    """The same with each transaction on another connection of the server, as PgBouncer hands them out in transaction mode."""

    @pytest.fixture
    def pooled(self, postgres_server: Server, place: Place) -> Iterator[Place]:
        with pooling(postgres_server) as port:
            yield Place(place.address.replace(str(postgres_server.port), str(port)), place.folder, place.archive)

    @pytest.fixture
    def log(self, pooled: Place) -> Iterator[PostgresLog]:
        log = open_log(pooled)
        with log._connections.one() as connection:
            assert pooled_connection(connection)
        yield log
        log.close()

    @pytest.fixture
    def again(self, pooled: Place) -> Iterator[Callable[[], Log]]:
        opened: list[PostgresLog] = []

        def open_again() -> Log:
            opened.append(open_log(pooled))
            return opened[-1]

        yield open_again
        for log in opened:
            log.close()


class Scattered(Connections):
    """Connections that prepare nothing and of whose sessions nothing is left after each transaction, as behind a pooler."""

    @contextmanager
    def one(self) -> Iterator[Connection]:
        with super().one() as connection:
            connection.prepare_threshold = None
            yield connection
            connection.execute("DISCARD ALL")


class TestPostgresLogWithoutSessions(SharedLogContract):
    test_waiting_notices_the_other_quickly_and_costs_little = None  # clearing the session takes longer than looking

    @pytest.fixture
    def log(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLog]:
        monkeypatch.setattr("synchromesh.log.postgres.log.Connections", Scattered)
        log = open_log(place)
        yield log
        log.close()

    @pytest.fixture
    def again(self, place: Place, log: PostgresLog) -> Iterator[Callable[[], Log]]:
        opened: list[PostgresLog] = []

        def open_again() -> Log:
            opened.append(open_log(place))
            return opened[-1]

        yield open_again
        for log in opened:
            log.close()


def test_an_appender_that_stalls_stops_its_own_partitions_only(log: PostgresLog, place: Place) -> None:
    stall = Stall()
    other = open_log(place)
    other._appender._connections = Stalling(other._connections, stall)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(other.append, [message("a")])
        assert stall.inside.wait(PATIENCE)
        assert log.append([message("b")]) == [1]
        stall.go.set()
        assert first.result(PATIENCE) == [1]
    other.close()


def test_many_appenders_of_many_new_partitions_get_in_each_others_way_and_all_positions_are_given_once(log: PostgresLog) -> None:
    names = [f"plant-{number}" for number in range(8)]

    def append(thread: int) -> list[tuple[str, int]]:
        chance = random.Random(thread)
        given: list[tuple[str, int]] = []
        for _ in range(25):
            told = [message(name) for name in chance.choices(names, k=5)]
            given += zip([each.partition for each in told], log.append(told), strict=True)
        return given

    with ThreadPoolExecutor(6) as threads:
        given = sorted(pair for pairs in threads.map(append, range(6)) for pair in pairs)
    heads = log.head()
    assert given == sorted((name, position) for name, head in heads.items() for position in range(1, head + 1))
    assert sum(heads.values()) == 6 * 25 * 5


def test_a_thousand_partitions_are_read_and_waited_for_at_a_time(log: PostgresLog) -> None:
    names = [f"plant-{number:04d}" for number in range(1_000)]
    assert set(log.append([message(name, id=name) for name in names])) == {1}
    assert not log.wait(dict.fromkeys(names, 1), 0.05)
    found = log.read(dict.fromkeys(names, 0), 5_000)
    assert {name: [record.message.id for record in records] for name, records in found.items()} == {name: [name] for name in names}


def test_reading_stops_at_its_bytes_but_never_without_a_message(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_BYTES", 1000)
    log.append([message(body=b"x" * 300) for _ in range(5)] + [message("b", body=b"y" * 5000)])
    found = log.read({"plant-1": 0, "b": 0}, 100)
    assert {name: len(records) for name, records in found.items()} == {"plant-1": 1, "b": 1}
    assert len(log.read({"plant-1": 0}, 100)["plant-1"]) == 2


def test_what_is_trimmed_is_in_the_archive_in_segments_that_are_chained(
    log: PostgresLog, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "SEGMENT_MESSAGES", 4)
    monkeypatch.setattr(trimming, "_PAGE", 3)
    told = [message() for _ in range(10)]
    log.append(told)
    assert log.chain("plant-1") == ""
    log.trim("plant-1", 9)
    assert len(list((place.archive / "plant-1").iterdir())) == 3
    archived = list(read_archive(place.archive, "plant-1", log.chain("plant-1")))
    assert [(record.position, record.message) for record in archived] == list(enumerate(told[:9], 1))


def test_a_trim_that_died_between_the_archive_and_the_log_is_done_again(
    log: PostgresLog, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([message() for _ in range(6)])
    with monkeypatch.context() as patched:
        patched.setattr(trimming, "_DELETE", "SELECT pg_terminate_backend(pg_backend_pid()), %s, %s, %s")
        with pytest.raises(LogError, match="later"):
            log.trim("plant-1", 4)
    assert len(list((place.archive / "plant-1").iterdir())) == 1
    assert len(log.read({"plant-1": 0}, 10)["plant-1"]) == 6
    log.trim("plant-1", 3)
    assert [record.position for record in read_archive(place.archive, "plant-1", log.chain("plant-1"))] == [1, 2, 3]
    assert log.read({"plant-1": 3}, 10)["plant-1"][0].position == 4


def test_two_that_trim_at_a_time_make_one_archive(log: PostgresLog, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "SEGMENT_MESSAGES", 10)
    log.append([message() for _ in range(200)])
    other = open_log(place)
    with ThreadPoolExecutor(2) as threads:
        for trimmed in [threads.submit(each.trim, "plant-1", 200) for each in (log, other)]:
            trimmed.result(PATIENCE)
    other.close()
    assert len(list(read_archive(place.archive, "plant-1", log.chain("plant-1")))) == 200


def test_a_partition_that_moves_here_goes_on_where_it_was(log: PostgresLog) -> None:
    log.resume("plant-1", 41, "ab" * 32)
    assert log.head() == {"plant-1": 41}
    assert log.chain("plant-1") == "ab" * 32
    assert log.append([message()]) == [42]
    with pytest.raises(LogError, match="through 42"):
        log.resume("plant-1", 50, "")


def test_the_log_has_an_id_of_its_own(log: PostgresLog, place: Place) -> None:
    other = open_log(place)
    elsewhere = open_log(Place(place.address, place.folder, place.archive, more={"schema": "elsewhere"}))
    assert log.id() == other.id() != elsewhere.id()
    assert elsewhere.append([message()]) == [1]
    assert log.head() == {}
    other.close()
    elsewhere.close()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE synchromesh.message SET body = body || 'x' WHERE position = 3", "position 3: the checksum differs"),
        ("DELETE FROM synchromesh.message WHERE position = 3", "position 3: there is no message"),
        ("DELETE FROM synchromesh.message WHERE position = 1", "position 1: there is no message"),
        (f"UPDATE synchromesh.message SET body = 'x', crc = {signed(zlib.crc32(b'x'))} WHERE position = 1", "position 1: .*can't be read"),
    ],
)
def test_damage_is_found_and_named_and_never_archived(log: PostgresLog, place: Place, statement: str, what: str) -> None:
    log.append([message() for _ in range(5)])
    with psycopg.connect(place.address) as connection:
        connection.execute(statement.encode())
    with pytest.raises(LogCorrupt, match=what):
        log.read({"plant-1": 0}, 10)
    if "read" not in what:
        with pytest.raises(LogCorrupt, match=what):
            log.trim("plant-1", 5)
        assert not list(place.archive.rglob("*.gz"))


def test_a_log_whose_tables_are_deleted_behind_its_back_says_so(log: PostgresLog, place: Place) -> None:
    log.append([message()])
    with psycopg.connect(place.address) as connection:
        connection.execute("DROP SCHEMA synchromesh CASCADE")
    for ask in (lambda: log.append([message()]), lambda: log.read({"plant-1": 0}, 1), log.head):
        with pytest.raises(LogError, match="tables are missing"):
            ask()


def test_a_setting_that_is_none_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match="sharding is no setting of postgresql; it has schema"):
        open_log(Place(place.address, place.folder, place.archive, more={"sharding": 2}))


def test_a_role_that_may_only_write_rows_is_enough_once_the_tables_are_there(
    postgres_server: Server, log: PostgresLog, place: Place
) -> None:
    name = place.address.rsplit("/", 1)[1]
    postgres_server.run("CREATE ROLE clerk LOGIN PASSWORD 'c'")
    for grant in (
        "GRANT USAGE ON SCHEMA synchromesh TO clerk",
        "GRANT SELECT ON synchromesh.part TO clerk",
        "GRANT SELECT, INSERT, UPDATE ON synchromesh.log_partition TO clerk",
        "GRANT SELECT, INSERT, DELETE ON synchromesh.message, synchromesh.appended TO clerk",
    ):
        postgres_server.run(grant, name=name)
    try:
        clerks = open_log(Place(postgres_server.address(name, "clerk", "c"), place.folder, place.archive))
        assert clerks.append([message(), message("new")]) == [1, 1]
        assert clerks.wait({"plant-1": 0}, 0)
        clerks.trim("plant-1", 1)
        assert clerks.head() == {"plant-1": 1, "new": 1}
        clerks.close()
    finally:
        postgres_server.run("DROP OWNED BY clerk", name=name)
        postgres_server.run("DROP ROLE clerk")


def test_a_disk_without_room_takes_nothing_of_a_list_and_works_again_with_room(postgres_server: Server, place: Place) -> None:
    with postgres_server.little_room(20_000_000):
        log = open_log(place)
        count = 0
        with suppress(LogFull):
            while count < 1000:
                log.append([message(body=b"x" * 1500) for _ in range(1000)] + [message("other")])
                count += 1
        with pytest.raises(LogFull, match="free space on the server's disk"):
            log.append([message(body=b"x" * 1500) for _ in range(1000)] + [message("other")])
        assert log.head() == {"plant-1": 1000 * count, "other": count}
    assert log.append([message(body=b"x" * 1500) for _ in range(1000)])[-1] == 1000 * count + 1000
    log.close()
