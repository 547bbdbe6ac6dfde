"""What a failed call says about the books, and the settings, without a Tryton."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import pytest
from aiohttp import web

from synchromesh.connectors.tryton import connect
from synchromesh.connectors.tryton.rpc import Busy, Denied, Failed, NotSent, RpcError, Tryton, Unclear
from synchromesh.connectors.tryton.settings import Settings, read_settings

SETTINGS: Mapping[str, object] = {"url": "http://127.0.0.1:1", "database": "erp", "user": "mes", "password": "s3cret"}


class Pretended:
    """A server that answers calls in order with what a test says; logins always succeed."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.logins = 0

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert request.headers["Accept-Encoding"] == "gzip"
        if body["method"] == "common.db.login":
            self.logins += 1
            return web.json_response({"id": 1, "result": [7, "token", None]})
        if body["method"].endswith("get_preferences"):
            return web.json_response({"id": 1, "result": {"company": 1}})
        status, text = self.answers.pop(0)
        return web.Response(status=status, text=text, content_type="application/json")


@pytest.fixture
def pretended() -> Pretended:
    return Pretended()


@pytest.fixture
async def tryton(pretended: Pretended) -> AsyncIterator[Tryton]:
    application = web.Application()
    application.router.add_post("/erp/rpc/", pretended.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = Tryton(read_settings({**SETTINGS, "url": f"http://127.0.0.1:{runner.addresses[0][1]}"}))
    yield client
    await client.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (503, "", Busy),
        (429, "", Busy),
        (200, '{"id": 1, "error": ["ConcurrencyException", "changed meanwhile"]}', Busy),
        (403, "", Denied),
        (404, "", Denied),
        (422, "", Denied),
        (500, "", Unclear),
        (502, "", Unclear),
        (504, "", Unclear),
        (200, "<html>", Unclear),
        (200, "[]", Unclear),
        (200, '{"id": 1}', Unclear),
        (200, '{"id": 1, "error": ["UserError", ["No.", "", null]]}', Failed),
        (200, '{"id": 1, "error": ["UserWarning", ["abc.done", "Sure?", ""]]}', Failed),
        (200, '{"id": 1, "error": ["\'nope\'", ""]}', Failed),
    ],
)
async def test_failures_are_told_apart(pretended: Pretended, tryton: Tryton, status: int, text: str, error: type[RpcError]) -> None:
    pretended.answers = [(status, text)]
    with pytest.raises(error):
        await tryton.call("model.production.search", [])


async def test_a_long_complaint_is_cut(pretended: Pretended, tryton: Tryton) -> None:
    pretended.answers = [(200, '{"id": 1, "error": ["UserError", ["%s", "", null]]}' % ("x" * 40_000))]
    with pytest.raises(Failed) as caught:
        await tryton.call("model.production.search", [])
    assert len(caught.value.detail) == 2000


async def test_a_warning_tells_what_to_skip(pretended: Pretended, tryton: Tryton) -> None:
    pretended.answers = [(200, '{"id": 1, "error": ["UserWarning", ["abc.done", "Sure?", ""]]}')]
    with pytest.raises(Failed) as caught:
        await tryton.call("model.stock.move.do", [1])
    assert (caught.value.kind, caught.value.name) == ("UserWarning", "abc.done")


async def test_a_forgotten_session_is_renewed_once(pretended: Pretended, tryton: Tryton) -> None:
    pretended.answers = [(401, ""), (200, '{"id": 1, "result": 5}')]
    assert await tryton.call("model.production.search", []) == 5
    assert pretended.logins == 2
    pretended.answers = [(401, ""), (401, "")]
    with pytest.raises(Denied):
        await tryton.call("model.production.search", [])


async def test_typed_json_becomes_plain_and_exact(pretended: Pretended, tryton: Tryton) -> None:
    pretended.answers = [
        (
            200,
            '{"id": 1, "result": [0.1, {"__class__": "Decimal", "decimal": "3.05"},'
            ' {"__class__": "date", "year": 2026, "month": 1, "day": 2},'
            ' {"__class__": "datetime", "year": 2026, "month": 1, "day": 2, "hour": 3, "minute": 4, "second": 5, "microsecond": 6}]}',
        )
    ]
    assert await tryton.call("model.x.read", []) == [Decimal("0.1"), Decimal("3.05"), "2026-01-02", "2026-01-02T03:04:05.000006"]


async def test_nobody_there_is_certainly_nothing_booked() -> None:
    client = Tryton(read_settings(SETTINGS))
    with pytest.raises(NotSent):
        await client.call("model.production.search", [])
    await client.close()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"pasword": "x"}, "did you mean 'password'"),
        ({"zzz": "x"}, "the keys are"),
        ({"url": ""}, "'url' is missing"),
        ({"url": "ftp://x"}, "http://"),
        ({"batch": 0}, "'batch' must be"),
        ({"batch": "many"}, "wrong type"),
        ({"timeout": 0}, "'timeout' must be"),
        ({"plants": {"P1": 1}}, "wrong type"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        connect({**SETTINGS, **wrong})
    assert "s3cret" not in str(caught.value)


def test_plants_have_warehouses() -> None:
    settings = Settings(url="http://x", database="d", user="u", password="p", warehouse="WH", plants={"P2": "W2"})
    assert (settings.warehouse_of("P1"), settings.warehouse_of("P2")) == ("WH", "W2")
