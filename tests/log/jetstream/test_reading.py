"""Reading far behind, among many partitions, from servers that lag, and from a mirror."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from tests.contracts.log import PATIENCE, message
from tests.log.jetstream.conftest import Beside, Opens

from synchromesh.log.agreement import LogCorrupt, LogError, Trimmed
from synchromesh.log.jetstream import JetStreamLog
from synchromesh.log.jetstream import reader as readers
from synchromesh.log.jetstream import tail as tails
from synchromesh.log.jetstream.reader import Reader
from synchromesh.log.jetstream.tail import Tail


def read_through(log: JetStreamLog, after: dict[str, int], limit: int) -> dict[str, list[str]]:
    """The ids of all messages behind some positions, read on until there are no more."""
    found: dict[str, list[str]] = {}
    while records := log.read(after, limit):
        assert sum(map(len, records.values())) <= limit
        for partition, each in records.items():
            for record in each:
                assert record.position == after[partition] + 1
                after[partition] = record.position
                found.setdefault(partition, []).append(record.message.id)
    return found


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often servers are asked for frames, by way."""
    asked: Counter[str] = Counter()
    for name in ("_get", "_ask_leader"):

        def counting(self: Reader, *words: object, name: str = name, real: object = getattr(Reader, name)) -> object:
            asked[name] += 1
            return real(self, *words)  # type: ignore[operator]

        monkeypatch.setattr(Reader, name, counting)
    return asked


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_reader_that_is_far_behind_gets_everything_in_order(opens: Opens, questions: Counter[str], limit: int) -> None:
    log = opens()
    told: dict[str, list[str]] = {"a": [], "b": []}
    for number in range(150):
        group = [message("ab"[part % 2], id=f"{number}-{part}") for part in range(1 + number % 4)]
        log.append(group)
        for each in group:
            told[each.partition].append(each.id)
    late = opens()
    assert read_through(late, {"a": 0, "b": 0}, limit) == told
    if limit > 1:
        assert questions["_ask_leader"] < 40, "it is searched for once and then read on"


def test_any_position_is_found(opens: Opens) -> None:
    log = opens()
    for number in range(tails.RECENT + 40):
        log.append([message(id=f"{number}-{part}") for part in range(3)] + [message("b")])
    late = opens()
    for position in (1, 2, 3, 4, 50, 119, 120, 121, 200, 311, 312):
        [record] = late.read({"plant-1": position - 1}, 1)["plant-1"]
        assert (record.position, record.message.id) == (position, f"{(position - 1) // 3}-{(position - 1) % 3}")


def test_a_thousand_partitions_with_news_are_few_questions(opens: Opens, questions: Counter[str]) -> None:
    names = [f"plant-{number}" for number in range(1000)]
    log = opens()
    log.append([message(name) for name in names])
    found = log.read(dict.fromkeys(names, 0), 1000)
    assert set(found) == set(names)
    assert questions["_get"] <= 5
    assert not questions["_ask_leader"]
    log.append([message("plant-7")])
    assert [record.position for record in log.read(dict.fromkeys(names, 1), 1000)["plant-7"]] == [2]
    assert questions["_get"] <= 6


def test_a_large_message_lies_in_parts_and_is_read_from_everywhere(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [bytes([number]) * 2_500_000 for number in range(3)]
    log = opens()
    log.append([message(), message(body=large[0]), message()])
    log.append([message(body=large[1]), message("b", body=large[2])])
    for reading in (log, opens()):
        after, bodies = 0, []
        while records := reading.read({"plant-1": after}, 2).get("plant-1"):
            after = records[-1].position
            bodies += [record.message.body for record in records]
        assert [len(body) for body in bodies] == [2, 2_500_000, 2, 2_500_000]
        assert bodies[3] == large[1]
        assert reading.read({"b": 0}, 1)["b"][0].message.body == large[2]
    monkeypatch.setattr(tails, "RECENT", 1)
    assert opens().read({"plant-1": 1}, 1)["plant-1"][0].message.body == large[0]


def test_a_server_that_lags_behind_hides_nothing(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server that does not lead has not stored yet is asked of the one that leads."""

    async def nothing(*_: object) -> list[object]:
        return []

    log = opens()
    for _ in range(tails.RECENT + 10):
        log.append([message(), message("b")])
    monkeypatch.setattr(Reader, "_get", nothing)
    assert [record.position for record in log.read({"plant-1": 70, "b": 3}, 2)["plant-1"]] == [71]
    assert [record.position for record in log.read({"b": 3}, 1)["b"]] == [4]


def test_a_server_that_lags_behind_does_not_tell_where_partitions_end(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first consumer delivers nothing of what is stored, as one on a server that has not caught up; so another is asked for."""
    opens().append([message(), message()])
    real, times = Tail._consumer, [0]

    def lagging(self: Tail, *words: object) -> dict[str, object]:
        times[0] += 1
        return {**real(self, *words), **({"deliver_policy": "new"} if times[0] == 1 else {})}  # type: ignore[arg-type]

    monkeypatch.setattr(Tail, "_consumer", lagging)
    monkeypatch.setattr(tails, "TRY_SECONDS", 0.2)
    late = opens()
    assert times[0] == 2
    assert late.head() == {"plant-1": 2}
    assert late.append([message()]) == [3]


def test_deliveries_that_were_missed_are_had_again(opens: Opens) -> None:
    log, other = opens(), opens()
    log.append([message()])
    other.head()
    for _ in range(20):
        log.append([message()])
    other.head()
    line = other._tail.lines["plant-1"]
    line.head, line.sequence = 5, 5  # as if the rest had never come
    line.recent.clear()
    line.recent.append(tails.Spot(5, 5, 5, 1, 10))
    log.append([message()])
    assert other.wait({"plant-1": 21}, PATIENCE)
    assert not line.damage
    assert [record.position for record in other.read({"plant-1": 5}, 100)["plant-1"]] == list(range(6, 23))


def test_a_last_message_that_is_gone_is_damage(opens: Opens, beside: Beside, stream: str) -> None:
    log = opens()
    log.append([message()])
    beside.api(f"STREAM.PURGE.{stream}")
    with pytest.raises(LogCorrupt, match="message 1 of the stream, its last, is gone"):
        opens()
    with pytest.raises(LogCorrupt, match="partition plant-1 has no message at position 1"):
        log.read({"plant-1": 0}, 1)


def test_a_frame_that_is_gone_without_a_mark_is_damage(opens: Opens, beside: Beside, stream: str) -> None:
    log = opens()
    for _ in range(tails.RECENT + 10):
        log.append([message()])
    beside.api(f"STREAM.PURGE.{stream}", {"filter": f"{stream}.{log.id()}.log.plant-1", "seq": 5})
    for reading in (log, opens()):
        with pytest.raises(LogCorrupt, match="partition plant-1 has no message at position 3"):
            reading.read({"plant-1": 2}, 5)
        assert reading.read({"plant-1": 4}, 1)["plant-1"][0].position == 5


def test_what_another_process_has_trimmed_is_told_as_trimmed(opens: Opens) -> None:
    log, other = opens(), opens()
    for _ in range(tails.RECENT + 10):
        log.append([message(), message()])
    other.trim("plant-1", 21)
    for position in (0, 19, 20):
        with pytest.raises(Trimmed, match="through 21 are in the archive"):
            log.read({"plant-1": position}, 5)
    assert log.read({"plant-1": 21}, 1)["plant-1"][0].position == 22


def test_a_reader_keeps_what_it_is_inside_of_within_bounds(opens: Opens, questions: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = opens()
    log.append([message(name, body=b"x" * 10_000) for name in "abcd" for _ in range(10)])
    late = opens()
    after = dict.fromkeys("abcd", 0)
    for _ in range(3):
        for partition, records in late.read(after, 4).items():
            after[partition] = records[-1].position
    assert questions["_get"] == 1
    monkeypatch.setattr(readers, "KEPT_BYTES", 150_000)
    late = opens()
    late.read(dict.fromkeys("abcd", 0), 4)
    assert late._reader._kept_bytes <= 150_000
    assert sum(frame.spot.size for frame in late._reader._kept.values()) == late._reader._kept_bytes


def test_a_mirror_can_be_read_and_not_appended_to(opens: Opens, beside: Beside, stream: str) -> None:
    log = opens()
    log.append([message(id="one"), message("b")])
    beside.api(
        f"STREAM.CREATE.{stream}COPY",
        {
            "name": f"{stream}COPY",
            "mirror": {"name": stream},
            "storage": "file",
            "allow_direct": True,
            "metadata": beside.api(f"STREAM.INFO.{stream}")["config"]["metadata"],
        },
    )
    copy = opens(mirror=f"{stream}COPY")
    assert copy.wait({"plant-1": 0}, PATIENCE)
    assert copy.wait({"b": 0}, PATIENCE)
    assert copy.head() == {"plant-1": 1, "b": 1}
    assert copy.id() == log.id()
    log.append([message(id="two")])
    assert copy.wait({"plant-1": 1}, PATIENCE)
    assert [record.message.id for record in copy.read({"plant-1": 0}, 10)["plant-1"]] == ["one", "two"]
    log.trim("plant-1", 1)
    deadline = time.monotonic() + PATIENCE
    while not copy.chain("plant-1"):
        assert time.monotonic() < deadline
    with pytest.raises(Trimmed):
        copy.read({"plant-1": 0}, 10)
    for refused in (lambda: copy.append([message()]), lambda: copy.trim("plant-1", 2)):
        with pytest.raises(LogError, match="is a mirror"):
            refused()
    with pytest.raises(LogError, match="is a mirror"):
        opens(stream=f"{stream}COPY")
    with pytest.raises(LogError, match="is not a mirror"):
        opens(mirror=stream)
