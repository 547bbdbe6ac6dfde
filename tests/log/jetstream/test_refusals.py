"""Wrong addresses, wrong servers and wrong streams are refused with what to do, and nothing is written to them."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from tests.contracts.log import message
from tests.log.jetstream.conftest import Beside, Opens
from tests.nats.server import Server, free_ports

from synchromesh.log.agreement import LogAway, LogCorrupt, LogError, LogFull, Place
from synchromesh.log.jetstream import JetStreamLog, Options, open_log
from synchromesh.log.jetstream import stream as streams
from synchromesh.model.message import Message

TLS = Path(__file__).parents[2] / "nats" / "tls"


@pytest.mark.parametrize(
    "address", ["nats:", "nats://", "http://host:1", "nats://host:port", "nats://host/path", "nats://a,,b", "nats://a:99999"]
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(LogError, match="write nats://host:4222"):
        JetStreamLog(address, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"stream": "a.b"},
        {"stream": ""},
        {"stream": "a*"},
        {"mirror": "b>"},
        {"replicas": 2},
        {"patience": 0},
        {"room": -1},
        {"credentials": "/nowhere"},
    ],
)
def test_options_that_can_not_be_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(LogError, match=next(iter(options))):
        JetStreamLog("nats://127.0.0.1", tmp_path, options=Options(**options))  # type: ignore[arg-type]


def test_settings_that_it_does_not_know_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="replica is no setting of nats"):
        open_log(Place("nats://127.0.0.1", tmp_path, tmp_path, more={"replica": 3}))
    with pytest.raises(ValueError, match="replicas"):
        open_log(Place("nats://127.0.0.1", tmp_path, tmp_path, more={"replicas": "three"}))


def test_where_nobody_listens_the_log_is_away(opens: Opens) -> None:
    [port] = free_ports(1)
    with pytest.raises(LogAway, match=f"127.0.0.1:{port}: no connection .* check the address"):
        opens(f"nats://user:secret@127.0.0.1:{port}")


def test_a_secret_is_in_no_error_and_the_right_one_opens(opens: Opens, tmp_path: Path) -> None:
    with Server(tmp_path / "nats", extra="authorization { user: plant, password: right }\n") as server:
        host = server.address.removeprefix("nats://")
        for address in (f"nats://plant:wrong@{host}", server.address):
            with pytest.raises(LogError, match="refuses the login") as error:
                opens(address)
            assert "wrong" not in str(error.value)
            assert not isinstance(error.value, LogAway)
        assert opens(f"nats://plant:right@{host}").append([message()]) == [1]
        assert opens(server.address, user="plant", password="right").append([message()]) == [2]


def test_an_encrypted_line_is_checked(opens: Opens, tmp_path: Path) -> None:
    certificates = f"tls {{ cert_file: '{TLS / 'server.pem'}', key_file: '{TLS / 'server.key'}' }}\n"
    with Server(tmp_path / "nats", extra=certificates) as server:
        address = server.address.replace("nats:", "tls:")
        for wrong in (address, server.address):
            with pytest.raises(LogError, match=r"the encrypted line can't be made .*CERTIFICATE_VERIFY_FAILED"):
                opens(wrong)
        with pytest.raises(LogError, match=r"can't be used .*missing\.pem"):
            opens(address, ca=str(tmp_path / "missing.pem"))
        assert opens(address, ca=str(TLS / "ca.pem")).append([message()]) == [1]


def test_no_secret_is_said_in_the_clear_where_encryption_was_asked_for(opens: Opens, tmp_path: Path) -> None:
    with Server(tmp_path / "nats", extra="authorization { user: plant, password: right }\ntrace: true\ndebug: true\n") as server:
        with pytest.raises(LogError, match="offers no encryption"):
            opens(server.address.replace("nats://", "tls://plant:right@"))
        assert "CONNECT" not in (tmp_path / "nats" / "server.out").read_text()


def test_a_server_without_jetstream_is_refused_at_once(opens: Opens, tmp_path: Path) -> None:
    started = time.monotonic()
    with Server(tmp_path / "nats", jetstream=False) as server, pytest.raises(LogError, match="JetStream is not enabled"):
        opens(server.address, patience=10)
    assert time.monotonic() - started < 5


def test_a_server_that_takes_only_small_messages_is_refused(opens: Opens, tmp_path: Path) -> None:
    with Server(tmp_path / "nats", extra="max_payload: 32KB\n") as server, pytest.raises(LogError, match="max_payload"):
        opens(server.address)


def test_a_server_that_is_too_old_is_refused(opens: Opens, beside: Beside, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "API_LEVEL", 1_000)
    with pytest.raises(LogError, match=r"the server has version .* or newer is needed"):
        opens()
    assert stream not in (beside.api("STREAM.NAMES")["streams"] or [])


def test_a_stream_of_others_is_refused_and_left_alone(opens: Opens, beside: Beside, stream: str) -> None:
    beside.api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}.>"], "storage": "file"})
    with pytest.raises(LogError, match="not a log of Synchromesh"):
        opens()
    assert beside.api(f"STREAM.INFO.{stream}")["state"]["messages"] == 0


def test_subjects_that_another_stream_has_are_refused(opens: Opens, beside: Beside, stream: str) -> None:
    beside.api(f"STREAM.CREATE.{stream}X", {"name": f"{stream}X", "subjects": [f"{stream}.>"], "storage": "file"})
    with pytest.raises(LogError, match="subjects overlap"):
        opens()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_age", 3_600_000_000_000, "max_age is 36"),
        ("discard", "old", "discard is 'old'"),
        ("max_msgs_per_subject", 5, "max_msgs_per_subject is 5"),
    ],
)
def test_a_stream_that_would_lose_messages_is_refused(
    opens: Opens, beside: Beside, stream: str, key: str, value: object, said: str
) -> None:
    opens().close()
    config = beside.api(f"STREAM.INFO.{stream}")["config"]
    beside.api(f"STREAM.UPDATE.{stream}", {**config, key: value})
    with pytest.raises(LogError, match=said):
        opens()


def test_a_schema_that_is_newer_is_refused(opens: Opens, beside: Beside, stream: str) -> None:
    opens().close()
    config = beside.api(f"STREAM.INFO.{stream}")["config"]
    config["metadata"]["synchromesh.schema"] = "9"
    beside.api(f"STREAM.UPDATE.{stream}", config)
    with pytest.raises(LogError, match="schema 9 and this program knows schema 1"):
        opens()


def test_the_stream_of_another_installation_is_refused(opens: Opens, tmp_path: Path, stream: str) -> None:
    opens(folder=tmp_path).append([message()])
    (tmp_path / "other").mkdir()
    opens(folder=tmp_path / "other", stream=f"{stream}B").close()
    with pytest.raises(LogError, match="belongs to another installation"):
        opens(folder=tmp_path / "other")
    (tmp_path / "third").mkdir()
    assert opens(folder=tmp_path / "third").head() == {"plant-1": 1}, "another host of the same installation has no file yet"


def test_a_stream_that_was_deleted_is_not_made_anew(opens: Opens, beside: Beside, stream: str) -> None:
    opens().close()
    beside.api(f"STREAM.DELETE.{stream}")
    with pytest.raises(LogError, match="does not exist, and this installation's log was in it"):
        opens()
    assert stream not in (beside.api("STREAM.NAMES")["streams"] or [])


def test_a_stream_that_is_deleted_or_replaced_under_a_running_log_is_told(
    opens: Opens, beside: Beside, stream: str, tmp_path: Path
) -> None:
    log = opens()
    log.append([message()])
    beside.api(f"STREAM.DELETE.{stream}")
    for ask in (lambda: log.append([message()]), log.head):
        with pytest.raises(LogError, match="does not exist"):
            ask()
    (tmp_path / "another").mkdir()
    opens(folder=tmp_path / "another").append([message(), message()])
    for ask in (lambda: log.append([message()]), log.head):
        with pytest.raises(LogError, match="was replaced by another"):
            ask()
    assert opens(folder=tmp_path / "another").head() == {"plant-1": 2}


def test_a_message_of_a_stranger_stops_its_partition_and_no_other(opens: Opens, beside: Beside, stream: str) -> None:
    log = opens()
    log.append([message(), message("b")])
    beside.publish(f"{stream}.{log.id()}.log.plant-1", b"hello", {})
    assert log.head() == {"plant-1": 1, "b": 1}
    for ask in (lambda: log.append([message()]), lambda: log.read({"plant-1": 1}, 5)):
        with pytest.raises(LogCorrupt, match="partition plant-1: message 3 of the stream was not written by Synchromesh"):
            ask()
    assert log.append([message("b")]) == [2]
    assert [record.position for record in log.read({"b": 0}, 5)["b"]] == [1, 2]


@pytest.mark.parametrize(
    ("headers", "said"),
    [("5 1 1 1 x", "holds position 5 behind position 1")]
    + [
        (each, "was not written by Synchromesh")
        for each in ("2 1 1 1", "2 0 1 1 x", "-2 1 1 1 x", "2 1 2 1 x", "²2 1 1 1 x", "2 " + "9" * 30 + " 1 1 x")
    ],
)
def test_a_frame_that_does_not_follow_is_damage(opens: Opens, beside: Beside, stream: str, headers: str, said: str) -> None:
    log = opens()
    log.append([message()])
    beside.publish(f"{stream}.{log.id()}.log.plant-1", b"", {"Synchromesh-Frame": headers})
    log.head()
    for ask in (lambda: log.append([message()]), lambda: log.read({"plant-1": 1}, 5)):
        with pytest.raises(LogCorrupt, match=f"message 2 of the stream {said}"):
            ask()


def test_a_frame_whose_content_was_changed_is_damage(opens: Opens, beside: Beside, stream: str) -> None:
    log = opens()
    log.append([message()])
    beside.publish(f"{stream}.{log.id()}.log.plant-1", b"\0\0\0\0\xdc\0\1\x90", {"Synchromesh-Frame": "2 1 1 1 x"})
    assert log.head() == {"plant-1": 2}
    with pytest.raises(LogCorrupt, match="positions 2 to 2, message 2 of the stream: the checksum differs"):
        log.read({"plant-1": 1}, 5)
    with pytest.raises(LogCorrupt, match="the checksum differs"):
        log.trim("plant-1", 2)


def test_a_full_stream_takes_nothing_of_a_list_and_works_again_after_trimming(opens: Opens) -> None:
    log = opens(room=1_000_000)

    def until_full(*messages: Message) -> int:
        for count in itertools.count():
            try:
                log.append(messages)
            except LogFull:
                return count
        raise AssertionError

    count = until_full(message(body=b"x" * 50_000), message("b"))
    assert 10 < count < 20
    assert log.head() == {"plant-1": count, "b": count}
    with pytest.raises(LogFull, match="nothing was appended; trim the log"):
        log.append([message(body=b"x" * 50_000)])
    until_full(message("c"))  # until there is no room for the mark of a trim either
    log.trim("plant-1", count)
    assert log.append([message(body=b"x" * 50_000), message("b")]) == [count + 1, count + 1]


def test_a_closed_log_says_so(opens: Opens) -> None:
    log = opens()
    log.close()
    log.close()
    with pytest.raises(LogError, match="this log was closed"):
        log.head()


def test_a_partition_with_too_long_a_name_is_refused_with_its_whole_list(opens: Opens) -> None:
    log = opens()
    with pytest.raises(LogError, match="too long"):
        log.append([message(), message("x" * 501)])
    assert log.head() == {}


def test_more_partitions_than_the_servers_store_at_once_are_refused(opens: Opens) -> None:
    log = opens()
    with pytest.raises(LogError, match="at most 1000 all or none"):
        log.append([message(f"p{number}") for number in range(1_001)])
    assert log.head() == {}
    assert log.append([message(f"p{number}") for number in range(1_000)]) == [1] * 1_000
