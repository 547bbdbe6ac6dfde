"""Foreign bytes, by chance: nothing but an answer or a refusal comes of them."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.edge import Gate
from tests.edges.plant import NOW, Client, OnePlant, report, request, serving

from synchromesh.edges.files.rows import NotCsv, read_rows
from synchromesh.edges.http.answer import Refused
from synchromesh.edges.http.head import read_head
from synchromesh.edges.http.read import read
from synchromesh.edges.http.route import Kind, Route
from synchromesh.model.event import CanonicalEvent

ROUTES = [Route(Kind.EVENTS, "oslo"), Route(Kind.MESSAGES, "oslo", "mes/1"), Route(Kind.ENDED, "oslo")]
MEDIA = [b"application/json", b"application/cloudevents+json", b"application/cloudevents-batch+json", b"text/plain", b""]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["EA", "WO-1", "production.reported", "1.0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["amount", "unit", "order", "good", "type", "x"]), inner),
    max_leaves=8,
)
nearly = st.fixed_dictionaries(
    {"id": st.just("1") | values, "source": st.just("mes") | values, "type": st.just("production.reported") | values},
    optional={
        "data": values,
        "time": st.datetimes().map(lambda time: time.isoformat() + "Z") | values,
        "specversion": values,
        "no": values,
    },
)


def check(route: Route, media: bytes, body: bytes) -> None:
    refusal: Refused | None = None
    messages = []
    try:
        messages = read(route, {b"content-type": media, b"idempotency-key": b"k"}, body, NOW, OnePlant())
    except Refused as refused:
        refusal = refused
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert json.loads(refusal.response("/x").body)["detail"]
    for message in messages:
        assert message.source
        assert message.id
        if route.kind is not Kind.MESSAGES:
            msgspec.json.decode(message.body, type=CanonicalEvent)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ROUTES), st.sampled_from(MEDIA), st.binary(max_size=200))
def test_any_bytes_as_body(route: Route, media: bytes, body: bytes) -> None:
    check(route, media, body)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(ROUTES), st.sampled_from(MEDIA), nearly | st.lists(nearly, max_size=3) | values)
def test_any_json_as_body(route: Route, media: bytes, body: Any) -> None:
    check(route, media, json.dumps(body).encode("utf-8", "surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.binary(max_size=3))
def test_an_event_with_a_piece_cut_out_or_replaced(start: int, length: int, piece: bytes) -> None:
    body = json.dumps(report()).encode()
    check(ROUTES[0], MEDIA[0], body[:start] + piece + body[start + length :])


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="GETPOS /:\r\n\t0123456789abchunked,?%-", max_size=200).map(str.encode))
def test_any_bytes_as_head(head: bytes) -> None:
    for data in (head + b"\r\n\r\n", b"POST /v1/plants/oslo/events HTTP/1.1\r\n" + head + b"\r\n\r\n"):
        status = 0
        try:
            assert read_head(data).length >= 0
        except Refused as refused:
            status = refused.status
        assert status in (0, 400)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r\n", b"\r", b"\xff", b"\0", b"\xc3\xbc", b"\xef\xbb\xbf"]), max_size=60))
def test_any_bytes_as_file(parts: list[bytes]) -> None:
    content = b"x,y\n" + b"".join(parts)
    found = list(read_rows(io.BytesIO(content), ",", "utf-8"))
    assert [row.number for row in found] == list(range(1, len(found) + 1))
    given_back = b"".join(row.raw for row in found)
    kept = given_back.replace(b"\n", b"").replace(b"\r", b"")
    assert kept == b"".join(parts).replace(b"\n", b"").replace(b"\r", b"")
    assert all((row.cells is None) == bool(row.problem) for row in found)
    with suppress(NotCsv):
        list(read_rows(io.BytesIO(b"".join(parts)), ",", "utf-8"))


LINES = [
    b"\r\n",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n",
    b"POST /v1/plants/oslo/events HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
    b"host: x\r\n",
    b"content-length: 9\r\n",
    b"transfer-encoding: chunked\r\n",
    b"upgrade: websocket\r\nconnection: upgrade\r\n",
    b"expect: 100-continue\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"{}",
]
noise = st.binary(max_size=60) | st.sampled_from(LINES)


async def test_any_bytes_on_the_socket_leave_the_server_well(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Gate()) as server:

        async def speak(parts: list[bytes]) -> None:
            client = Client(*await asyncio.open_connection("127.0.0.1", server.edge.port))
            with suppress(ConnectionError):  # the server may have had enough
                for part in parts:
                    await client.send(part)
                    await asyncio.sleep(0)
            client.close()
            assert (await server.post("/v1/plants/oslo/events", report())).status == 202

        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(noise, max_size=6))
        def run(parts: list[bytes]) -> None:
            asyncio.run_coroutine_threadsafe(speak(parts), loop).result(20)

        await asyncio.to_thread(run)
        answer = await server.ask(request("/v1/health/live", method="GET"))
        assert answer.status == 200
    assert "Traceback" not in caplog.text
    assert "request.failed" not in caplog.text
