"""The contract of every log: what `synchromesh.log.agreement` promises, as tests.

To run it on a log, a stranger's too, give the suite a fixture that opens it, empty (the root of this source tree on the path)::

    from tests.contracts.log import LogContract

    class TestMyLog(LogContract):
        @pytest.fixture
        def log(self, tmp_path):
            log = open_my_log(tmp_path)
            yield log
            log.close()

A log that several processes share also runs `SharedLogContract`; its fixture `again` opens the same log once more. One whose appends are
transactions runs `TransactionalLogContract`; its fixture `stalling` opens the same log so that its appends stop before they commit.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from synchromesh.log.agreement import Log, LogError, Trimmed
from synchromesh.model.message import Message

PATIENCE = 20.0
"""Seconds after which what must happen counts as not happening."""
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
_NUMBERS = itertools.count(1)


def message(partition: str = "plant-1", body: bytes = b"{}", id: str = "") -> Message:
    """A message with an id of its own."""
    return Message(partition, "mes", id or f"m-{next(_NUMBERS)}", "native/1", NOON, body)


class LogContract:
    """`log` is the fixture of the class that inherits: an empty log."""

    def test_positions_start_at_one_and_have_no_gaps(self, log: Log) -> None:
        assert log.append([message(), message()]) == [1, 2]
        assert log.append([message()]) == [3]
        assert log.head() == {"plant-1": 3}

    def test_each_partition_counts_for_itself(self, log: Log) -> None:
        assert log.append([message("a"), message("b"), message("a")]) == [1, 1, 2]
        assert log.head() == {"a": 2, "b": 1}

    def test_an_empty_log_has_no_heads_and_nothing_to_read(self, log: Log) -> None:
        assert log.head() == {}
        assert log.read({"plant-1": 0}, 10) == {}
        assert log.append([]) == []

    def test_what_was_appended_is_read_back_as_it_came(self, log: Log) -> None:
        told = Message(
            "plant-1", "mes/line 4", "Ä-1", "acme/2", NOON, bytes(range(256)), "application/xml", NOON - timedelta(days=3), "story", "cause"
        )
        log.append([told])
        [record] = log.read({"plant-1": 0}, 10)["plant-1"]
        assert (record.position, record.message) == (1, told)

    def test_times_are_read_in_utc_whatever_zone_they_came_in(self, log: Log) -> None:
        east = timezone(timedelta(hours=8))
        log.append([Message("plant-1", "mes", "1", "native/1", NOON.astimezone(east), b"", occurred=NOON.astimezone(east))])
        [record] = log.read({"plant-1": 0}, 10)["plant-1"]
        assert record.message.received == NOON
        assert record.message.received.utcoffset() == timedelta(0)
        assert record.message.occurred is not None
        assert record.message.occurred.utcoffset() == timedelta(0)

    def test_a_message_that_could_not_be_read_again_is_refused_with_its_whole_list(self, log: Log) -> None:
        naive = Message("plant-1", "mes", "n", "native/1", NOON.replace(tzinfo=None), b"")
        for bad in (naive, message(partition="")):
            with pytest.raises(LogError):
                log.append([message(), bad])
        assert log.head() == {}

    def test_reading_goes_on_behind_a_position(self, log: Log) -> None:
        log.append([message() for _ in range(5)])
        assert [record.position for record in log.read({"plant-1": 2}, 2)["plant-1"]] == [3, 4]
        assert log.read({"plant-1": 5}, 2) == {}
        assert log.read({"elsewhere": 0}, 2) == {}

    def test_only_what_was_asked_for_is_read(self, log: Log) -> None:
        log.append([message("a"), message("b")])
        assert set(log.read({"b": 0}, 10)) == {"b"}

    def test_a_busy_partition_does_not_starve_a_quiet_one(self, log: Log) -> None:
        log.append([message("busy") for _ in range(100)] + [message("quiet") for _ in range(2)] + [message("middle") for _ in range(50)])
        found = log.read({"busy": 0, "quiet": 0, "middle": 0}, 30)
        assert {partition: len(records) for partition, records in found.items()} == {"quiet": 2, "middle": 14, "busy": 14}

    def test_a_read_is_bounded_in_bytes_too_and_always_goes_on(self, log: Log) -> None:
        body = random.Random(1).randbytes(3_000_000)
        log.append([message(body=body) for _ in range(6)])
        after, sizes = 0, []
        while records := log.read({"plant-1": after}, 100).get("plant-1"):
            after = records[-1].position
            sizes.append(sum(len(record.message.body) for record in records))
        assert after == 6
        assert max(sizes) <= 40_000_000

    def test_waiting_ends_with_news(self, log: Log) -> None:
        log.append([message()])
        assert log.wait({"plant-1": 0}, 0.0)
        assert not log.wait({"plant-1": 1}, 0.01)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(log.wait, {"plant-1": 1, "unheard": 0}, PATIENCE)
            log.append([message()])
            assert waiting.result(PATIENCE)

    def test_news_of_a_partition_that_was_not_asked_for_is_none(self, log: Log) -> None:
        log.append([message("other")])
        assert not log.wait({"plant-1": 0}, 0.01)

    def test_trimmed_positions_are_refused_and_the_sequence_goes_on(self, log: Log) -> None:
        log.append([message() for _ in range(5)])
        log.trim("plant-1", 3)
        with pytest.raises(Trimmed, match="archive"):
            log.read({"plant-1": 2}, 10)
        assert [record.position for record in log.read({"plant-1": 3}, 10)["plant-1"]] == [4, 5]
        log.trim("plant-1", 5)
        assert log.head() == {"plant-1": 5}
        assert log.append([message()]) == [6]
        assert log.read({"plant-1": 5}, 10)["plant-1"][0].position == 6

    def test_trimming_twice_changes_nothing_and_beyond_the_head_is_refused(self, log: Log) -> None:
        log.append([message("a"), message("a"), message("b")])
        log.trim("a", 1)
        log.trim("a", 1)
        with pytest.raises(LogError):
            log.trim("a", 3)
        assert {name: [record.position for record in records] for name, records in log.read({"a": 1, "b": 0}, 9).items()} == {
            "a": [2],
            "b": [1],
        }

    def test_many_threads_append_at_a_time_and_all_positions_are_given_once(self, log: Log) -> None:
        def append(thread: int) -> list[tuple[int, str]]:
            told = [[message(id=f"{thread}-{number}-{part}") for part in range(3)] for number in range(10)]
            return [pair for group in told for pair in zip(log.append(group), (each.id for each in group), strict=True)]

        with ThreadPoolExecutor(6) as threads:
            given = dict(pair for pairs in threads.map(append, range(6)) for pair in pairs)
        assert sorted(given) == list(range(1, 181))
        assert {record.position: record.message.id for record in log.read({"plant-1": 0}, 1000)["plant-1"]} == given

    def test_a_reader_beside_appenders_sees_every_position_in_order(self, log: Log) -> None:
        def follow() -> list[int]:
            seen: list[int] = []
            while len(seen) < 120 and log.wait({"plant-1": len(seen)}, PATIENCE):
                seen.extend(record.position for record in log.read({"plant-1": len(seen)}, 7)["plant-1"])
            return seen

        def append() -> None:
            for _ in range(30):
                log.append([message(), message()])

        with ThreadPoolExecutor(3) as threads:
            reader = threads.submit(follow)
            for appender in [threads.submit(append), threads.submit(append)]:
                appender.result(PATIENCE)
            assert reader.result(PATIENCE) == list(range(1, 121))


class SharedLogContract(LogContract):
    """For a log that several openings share. `again()` opens the log of the fixture `log` once more and closes it after the test."""

    @pytest.fixture
    def again(self) -> Iterator[Callable[[], Log]]:
        raise NotImplementedError("the class that inherits says how its log is opened again")

    def test_the_openings_see_each_others_messages(self, log: Log, again: Callable[[], Log]) -> None:
        other = again()
        assert log.append([message()]) == [1]
        assert other.append([message()]) == [2]
        assert log.append([message("b")]) == [1]
        assert other.append([message("b")]) == [2]
        assert log.head() == other.head() == {"plant-1": 2, "b": 2}
        other.trim("plant-1", 1)
        with pytest.raises(Trimmed):
            log.read({"plant-1": 0}, 10)
        assert log.append([message()]) == [3]

    def test_waiting_notices_the_other_quickly_and_costs_little(self, log: Log, again: Callable[[], Log]) -> None:
        other = again()
        delays = []
        with ThreadPoolExecutor(1) as threads:
            for position in range(10):
                waiting = threads.submit(lambda after: (log.wait({"plant-1": after}, PATIENCE), time.perf_counter()), position)
                other.append([message()])
                appended = time.perf_counter()
                delays.append(waiting.result(PATIENCE)[1] - appended)
        assert sorted(delays)[5] < 0.02

    def test_what_was_acknowledged_is_there_when_it_is_opened_again(self, log: Log, again: Callable[[], Log]) -> None:
        log.append([message() for _ in range(10)])
        log.trim("plant-1", 4)
        log.close()
        assert again().head() == {"plant-1": 10}
        assert [record.position for record in again().read({"plant-1": 4}, 99)["plant-1"]] == [5, 6, 7, 8, 9, 10]


class Stall:
    """The place inside a transaction where an appender stops: all is written, nothing is committed."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go = threading.Event()

    def here(self) -> None:
        self.inside.set()
        assert self.go.wait(PATIENCE)


class TransactionalLogContract(SharedLogContract):
    """For a log whose appends are transactions. `stalling(stall)` opens the log of the fixture `log` once more, so that its appends call
    `stall.here()` between their last write and their commit, and closes it after the test."""

    @pytest.fixture
    def stalling(self) -> Iterator[Callable[[Stall], Log]]:
        raise NotImplementedError("the class that inherits says how an append of its log is stopped")

    def test_an_appender_that_stalls_hides_nothing_behind_it(self, log: Log, stalling: Callable[[Stall], Log]) -> None:
        log.append([message(id="zeroth"), message("b", id="zeroth of b")])
        stall = Stall()
        other = stalling(stall)
        with ThreadPoolExecutor(3) as threads:
            first = threads.submit(other.append, [message(id="first"), message("b", id="first of b")])
            assert stall.inside.wait(PATIENCE)
            reader = threads.submit(self._follow, log, 5)
            behind = threads.submit(log.append, [message(id="second"), message(id="third"), message(id="fourth")])
            assert log.read({"plant-1": 1, "b": 1}, 10) == {}
            assert not log.wait({"plant-1": 1, "b": 1}, 0.1)
            assert not behind.done()
            stall.go.set()
            assert first.result(PATIENCE) == [2, 2]
            assert behind.result(PATIENCE) == [3, 4, 5]
            assert reader.result(PATIENCE) == [(1, "zeroth"), (2, "first"), (3, "second"), (4, "third"), (5, "fourth")]
        assert log.head() == {"plant-1": 5, "b": 2}

    @staticmethod
    def _follow(log: Log, count: int) -> list[tuple[int, str]]:
        """What somebody sees who reads on and on."""
        seen: list[tuple[int, str]] = []
        while len(seen) < count and log.wait({"plant-1": len(seen)}, PATIENCE):
            seen.extend((record.position, record.message.id) for record in log.read({"plant-1": len(seen)}, 10)["plant-1"])
        return seen
