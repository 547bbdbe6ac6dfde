"""The HTTP edge on a socket: answers, limits, bad clients, mounting, stopping."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator, Mapping

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.contracts.edge import Gate, until
from tests.edges.plant import Answer, OnePlant, Server, clock, never_settled, report, request, serving

from synchromesh.edges.agreement import Busy
from synchromesh.edges.http import connection, general, server
from synchromesh.edges.http.server import HttpEdge
from synchromesh.log.agreement import LogError, LogFull

EVENTS = "/v1/plants/oslo/events"
PAYLOADS = "/v1/plants/oslo/interfaces/mes/1/messages"

PLAIN: dict[str, str] = {}
CLOSING = {"connection": "close"}
EXPECTING = {"expect": "100-continue"}
"""Through the connection of the edge itself, and through the general server."""


def is_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert told["type"].startswith("urn:synchromesh:problem:")


def chunked(path: str, parts: list[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return request(path, b"", transfer_encoding="chunked", content_length="") + body


async def test_an_event_is_acknowledged_with_its_position_and_where_to_look() -> None:
    gate = Gate()
    async with serving(gate) as edge:
        answer = await edge.post(EVENTS, report("a"))
        assert (answer.status, answer.json) == (202, {"accepted": [{"id": "a", "position": 1}]})
        assert answer.headers["location"] == "/v1/plants/oslo/facts/1"
        assert answer.headers["date"] == "Sun, 01 Mar 2026 08:00:00 GMT"
        answer = await edge.post(EVENTS, [report("b"), report('"é')])
        assert answer.json == {"accepted": [{"id": "b", "position": 2}, {"id": '"é', "position": 3}]}
        answer = await edge.post("/v1/plants/oslo/interfaces/mes%2F1/messages", {"no": 7})
        assert answer.json == {"accepted": [{"id": "7", "position": 4}]}
        answer = await edge.post("/v1/plants/oslo/ended", {"source": "mes", "name": "shift"}, idempotency_key="e-1")
        assert answer.json == {"accepted": [{"id": "e-1", "position": 5}]}
    assert [message.id for message in gate.stored] == ["a", "b", '"é', "7", "e-1"]


@pytest.mark.parametrize("how", [PLAIN, CLOSING, EXPECTING])
async def test_every_way_through_gives_the_same_answers(how: dict[str, str]) -> None:
    gate = Gate()
    async with serving(gate) as edge:
        for body, status in ((report(), 202), (report(order=1), 422), ("{", 400)):
            client = await edge.connect()
            await client.send(request(EVENTS, body, **how))
            answer = await client.answer()
            if answer.status == 100:
                answer = await client.answer()
            assert answer.status == status
            if status != 202:
                is_problem(answer, status)
                assert answer.json["instance"] == EVENTS
    assert len(gate.stored) == 1


async def test_a_connection_is_kept_and_closed_when_asked() -> None:
    async with serving(Gate()) as edge:
        client = await edge.connect()
        for n in range(3):
            await client.send(request(EVENTS, report(str(n))))
            assert (await client.answer()).json["accepted"][0]["position"] == n + 1
        await client.send(request(EVENTS, report("last"), connection="close"))
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.ended()


async def test_pipelined_requests_are_answered_in_order_whatever_they_are() -> None:
    gate = Gate()
    async with serving(gate) as edge:
        client = await edge.connect()
        parts = [request(EVENTS, report(str(n))) for n in range(40)]
        parts.append(chunked(EVENTS, [b'{"id":"c","source":"mes",', b'"type":"production.order.started","data":{"order":"o"}}']))
        parts += [request(EVENTS, report(str(n))) for n in range(40, 50)]
        await client.send(b"".join(parts))
        ids = [(await client.answer()).json["accepted"][0]["id"] for _ in range(51)]
    assert ids == [*(str(n) for n in range(40)), "c", *(str(n) for n in range(40, 50))]
    assert [message.id for message in gate.stored] == ids


async def test_who_sends_without_end_before_an_answer_fills_no_memory() -> None:
    gate = Gate()
    gate.open.clear()
    async with serving(gate) as edge:
        client = await edge.connect()
        client.writer.write(b"".join(request(EVENTS, report(str(n), reason="x" * 10_000)) for n in range(1_000)))
        await asyncio.wait_for(gate.arrived.wait(), 10)
        (connection,) = edge.edge._plain
        await until(lambda: connection._paused, "the pause")
        assert len(connection._buffer) < 1_000_000
        gate.open.set()
        assert [(await client.answer()).status for _ in range(1_000)] == [202] * 1_000
    assert [message.id for message in gate.stored] == [str(n) for n in range(1_000)]


@pytest.mark.parametrize("data", [request(EVENTS, report("a")), chunked(EVENTS, [request(EVENTS, report("a")).partition(b"\r\n\r\n")[2]])])
async def test_bytes_may_come_one_by_one(data: bytes) -> None:
    async with serving(Gate()) as edge:
        client = await edge.connect()
        for byte in data:
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer()).status == 202


async def test_a_sender_that_ends_its_side_still_hears_the_answer() -> None:
    gate = Gate()
    gate.open.clear()
    async with serving(gate) as edge:
        client = await edge.connect()
        await client.send(request(EVENTS, report()))
        client.writer.write_eof()
        await asyncio.wait_for(gate.arrived.wait(), 10)
        gate.open.set()
        assert (await client.answer()).status == 202
        assert await client.ended()


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [(Busy(1.2), 503, "2"), (LogFull("the disk is full; free some"), 507, "5"), (LogError("locked; wait"), 503, "5")],
)
async def test_what_cannot_be_stored_is_refused_with_when_to_try_again(error: Exception, status: int, retry: str) -> None:
    gate = Gate()
    gate.error = error
    async with serving(gate) as edge:
        answer = await edge.post(EVENTS, report())
        is_problem(answer, status)
        assert answer.headers["retry-after"] == retry
        assert str(error) in answer.json["detail"]


async def test_a_fault_of_ours_is_a_problem_and_ends_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    gate.error = ZeroDivisionError("secret")
    async with serving(gate) as edge:
        client = await edge.connect()
        await client.send(request(EVENTS, report()))
        answer = await client.answer()
        is_problem(answer, 500)
        assert b"secret" not in answer.body
        assert "request.failed" in caplog.text
        assert "ZeroDivisionError" in caplog.text
        gate.error = None
        await client.send(request(EVENTS, report()))
        assert (await client.answer()).status == 202


@pytest.mark.parametrize("size", [1_000_001, 10_000_000])
@pytest.mark.parametrize("how", [PLAIN, EXPECTING])
async def test_a_body_over_the_limit_is_refused_at_its_announcement(size: int, how: dict[str, str]) -> None:
    gate = Gate()
    async with serving(gate) as edge:
        client = await edge.connect()
        await client.send(request(EVENTS, b"", content_length=str(size), **how))
        is_problem(await client.answer(), 413)
        if not how:
            await client.send(b"x" * size)
        assert await client.ended()
    assert gate.calls == 0


async def test_a_sender_of_a_large_body_that_does_not_listen_first_reads_the_refusal() -> None:
    async with serving(Gate()) as edge:
        client = await edge.connect()
        await client.send(request(EVENTS, b"x" * 10_000_000))
        is_problem(await client.answer(), 413)
        client = await edge.connect()
        await client.send(chunked(EVENTS, [b"x" * 100_000] * 100))
        is_problem(await client.answer(), 413)


async def test_a_body_at_the_limit_is_read() -> None:
    padding = 1_000_000 - len(request(EVENTS, report(reason="")).partition(b"\r\n\r\n")[2])
    async with serving(Gate()) as edge:
        assert (await edge.post(EVENTS, report(reason="x" * padding))).status == 202
        assert (await edge.post(EVENTS, report(reason="x" * (padding + 1)))).status == 413


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"a: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n" + b"a: " + b"x" * 20_000 + b"\r\nb: c\r\n\r\n", 431),
        (b"\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\0" * 100, 400),
        (b"{}", 400),
        (b"POST " + EVENTS.encode() + b" HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}", 400),
        (b"POST " + EVENTS.encode() + b" HTTP/1.1\r\ncontent-length: -1\r\n\r\n{}", 400),
        (b"POST " + EVENTS.encode() + b" HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{}", 400),
        (b"POST " + EVENTS.encode() + b" HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
async def test_what_is_not_http_is_refused_and_the_connection_closed(data: bytes, status: int) -> None:
    gate = Gate()
    async with serving(gate) as edge:
        client = await edge.connect()
        await client.send(data)
        answer = await client.answer()
        if answer.status == 404:
            answer = await client.answer()
        is_problem(answer, status)
        assert await client.ended()
        assert (await edge.post(EVENTS, report())).status == 202


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("REQUEST_SECONDS", "LINGER_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(connection, name, 0.05)
    monkeypatch.setattr(general, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(server, "_SWEEP_SECONDS", 0.02)
    return


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", None),
        (b"POST ", 408),
        (request(EVENTS, b"", content_length="10") + b"{", 408),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /", 408),
        (request(EVENTS, b"", content_length="", transfer_encoding="chunked") + b"1\r\n", None),
        (request(EVENTS, b"", content_length="2000000"), None),
    ],
)
async def test_a_slow_sender_is_let_go(data: bytes, status: int | None) -> None:
    async with serving(Gate()) as edge:
        client = await edge.connect()
        await client.send(data)
        if status is not None:
            answer = await client.answer()
            if answer.status == 404:
                answer = await client.answer()
            is_problem(answer, status)
        elif b"2000000" in data:
            is_problem(await client.answer(), 413)
        assert await client.ended()


async def test_one_connection_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with serving(Gate()) as edge:
        first = await edge.connect()
        await first.send(request(EVENTS, report()))
        assert (await first.answer()).status == 202
        second = await edge.connect()
        await second.send(request("/v1/health/live", method="GET"))
        assert (await second.answer()).status == 200
        third = await edge.connect()
        is_problem(await third.answer(), 503)
        first.close()
        await until(lambda: len(edge.edge._plain) < 2, "the first connection's end")
        third.close()
        await until(lambda: not edge.edge._plain, "the third connection's end")
        assert (await edge.post(EVENTS, report())).status == 202


@pytest.mark.parametrize(
    ("path", "method", "status", "allow"),
    [
        (EVENTS, "GET", 405, "POST"),
        (EVENTS, "DELETE", 405, "POST"),
        (PAYLOADS, "PUT", 405, "POST"),
        ("/v1/health/live", "POST", 405, "GET, HEAD"),
        ("/v1/plants/mars/events", "POST", 404, None),
        ("/v1/plants/oslo/interfaces/mes/2/messages", "POST", 404, None),
        ("/v1/plants//events", "POST", 404, None),
        ("/v1/plants/oslo/events/", "POST", 404, None),
        ("/" + "x" * 2_000, "POST", 404, None),
    ],
)
async def test_addresses_and_methods(path: str, method: str, status: int, allow: str | None) -> None:
    async with serving(Gate()) as edge:
        answer = await edge.ask(request(path, {"no": 1}, method=method))
        is_problem(answer, status)
        assert answer.headers.get("allow") == allow


async def test_health() -> None:
    problems: list[str] = []
    async with serving(Gate(), problems=problems) as edge:
        assert (await edge.ask(request("/v1/health/live", method="GET"))).json == {"live": True}
        assert (await edge.ask(request("/v1/health/ready", method="GET"))).status == 200
        problems.append("the worker is 12,000 facts behind")
        answer = await edge.ask(request("/v1/health/ready", method="GET"))
        assert (answer.status, answer.json) == (503, {"ready": False, "problems": problems})


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def test_other_routes_stand_beside_and_share_a_connection() -> None:
    other = Starlette(routes=[Route("/hello", _hello)])
    async with serving(Gate(), other=other) as edge:
        client = await edge.connect()
        for data in (request(EVENTS, report()), request("/hello", method="GET", content_type=""), request(EVENTS, report())):
            await client.send(data)
        assert [(await client.answer()).status for _ in range(3)] == [202, 200, 202]


# --- the synchronous call -------------------------------------------------------------------------------------------------


class Fates:
    """Facts that the test decides."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, float]] = []
        self.decided: dict[int, dict[str, object]] = {}

    async def __call__(self, plant: str, position: int, seconds: float) -> Mapping[str, object] | None:
        self.asked.append((plant, position, seconds))
        return self.decided.get(position)


@pytest.mark.parametrize(("path", "headers"), [(EVENTS + "?wait=5", {}), (EVENTS, {"prefer": "respond-async, wait=5"})])
async def test_a_caller_may_wait_for_the_document(path: str, headers: dict[str, str]) -> None:
    fates = Fates()
    fates.decided[1] = {"fate": "booked", "documents": ["4711"]}
    async with serving(Gate(), settled=fates) as edge:
        answer = await edge.post(path, report("a"), **headers)
        assert (answer.status, answer.headers["preference-applied"]) == (200, "wait=5")
        assert answer.json == {"accepted": [{"id": "a", "position": 1, "fact": fates.decided[1]}]}
        answer = await edge.post(path, report("b"), **headers)
        assert (answer.status, answer.json) == (202, {"accepted": [{"id": "b", "position": 2}]})
        assert answer.headers["location"] == "/v1/plants/oslo/facts/2"
    assert [asked[:2] for asked in fates.asked] == [("oslo", 1), ("oslo", 2)]
    assert all(4 < seconds <= 5 for _, _, seconds in fates.asked)


@pytest.mark.parametrize("headers", [{"prefer": "wait=soon"}, {"prefer": "handling=lenient"}, {"prefer": "waiter=5"}, {"prefer": "wait=0"}])
async def test_a_wish_to_wait_that_is_none_is_ignored(headers: dict[str, str]) -> None:
    fates = Fates()
    async with serving(Gate(), settled=fates) as edge:
        assert (await edge.post(EVENTS, report(), **headers)).status == 202
    assert not fates.asked


@pytest.mark.parametrize("wait", ["x", "-1", "nan", "1e9", "", "2.5", "1234567"])
@pytest.mark.parametrize("how", [PLAIN, CLOSING])
async def test_a_wait_in_the_address_that_is_no_number_is_refused_before_anything_is_stored(wait: str, how: dict[str, str]) -> None:
    gate = Gate()
    async with serving(gate) as edge:
        answer = await edge.post(f"{EVENTS}?wait={wait}", report(), **how)
        is_problem(answer, 400)
        assert "whole number of seconds" in answer.json["detail"]
    assert not gate.stored


async def test_nobody_waits_longer_than_the_limit() -> None:
    fates = Fates()
    async with serving(Gate(), settled=fates) as edge:
        assert (await edge.post(EVENTS + "?wait=9999", report())).status == 202
    assert fates.asked[0][2] <= 30


# --- starting and stopping ------------------------------------------------------------------------------------------------


async def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        edge = HttpEdge("127.0.0.1", port, catalogue=OnePlant(), settled=never_settled, problems=list, clock=clock)
        with pytest.raises(OSError, match=f"port {port} on 127.0.0.1 is in use; .* set another port") as error:
            await edge.start(Gate())
        assert error.value.errno == errno.EADDRINUSE


async def test_a_stop_answers_what_is_under_way_and_closes_the_rest() -> None:
    gate = Gate()
    gate.open.clear()
    edge = HttpEdge("127.0.0.1", 0, catalogue=OnePlant(), settled=never_settled, problems=list, clock=clock)
    await edge.start(gate)
    running = Server(edge)
    busy, general_busy, idle, half = [await running.connect() for _ in range(4)]
    await busy.send(request(EVENTS, report("a")))
    await general_busy.send(chunked(EVENTS, [request(EVENTS, report("b")).partition(b"\r\n\r\n")[2]]))
    await half.send(b"POST ")
    await until(lambda: gate.calls == 2, "both requests")
    stopping = asyncio.create_task(edge.stop())
    assert await idle.ended()
    assert await half.ended()
    assert not stopping.done()
    gate.open.set()
    for client in (busy, general_busy):
        assert (await client.answer()).status == 202
        assert await client.ended()
    await asyncio.wait_for(stopping, 5)
    with pytest.raises(ConnectionRefusedError):
        await running.connect()


async def test_a_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.05)
    gate = Gate()
    gate.open.clear()
    edge = HttpEdge("127.0.0.1", 0, catalogue=OnePlant(), settled=never_settled, problems=list, clock=clock)
    await edge.start(gate)
    client = await Server(edge).connect()
    await client.send(request(EVENTS, report("a")))
    await asyncio.wait_for(gate.arrived.wait(), 10)
    await asyncio.wait_for(edge.stop(), 5)
    assert await client.ended()
    gate.open.set()
    await until(lambda: len(gate.stored) == 1, "the fact, stored although nobody heard so")
