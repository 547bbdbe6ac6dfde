"""A business system that is only listened to books nothing, tells nothing, and says so."""

from __future__ import annotations

from datetime import date

import pytest

from synchromesh.connectors.agreement import ConnectorError, FindingState, Pulled, TellsOrders
from synchromesh.connectors.listening import connect
from synchromesh.model.posting import Category, Fate, Posting, PostingKind


async def test_it_refuses_what_it_is_sent_and_says_what_to_do() -> None:
    connector = connect({})
    (reply,) = await connector.post([Posting("oslo:1:receipt:1", PostingKind.RECEIPT, "oslo", "order:1", date(2026, 3, 2))])
    assert (reply.key, reply.fate) == ("oslo:1:receipt:1", Fate.REJECTED)
    assert reply.refusal is not None
    assert (reply.refusal.category, 'booking = "record"' in reply.refusal.remedy) == (Category.NOT_PERMITTED, True)


async def test_it_can_not_be_asked() -> None:
    connector = connect({})
    assert (await connector.find("oslo:1:receipt:1")).state is FindingState.SILENT
    assert await connector.pull("") == Pulled((), "")
    assert not connector.abilities.stock
    assert not isinstance(connector, TellsOrders)
    with pytest.raises(ConnectorError, match="can't be asked for its stock"):
        await connector.balances()
    await connector.close()


def test_a_setting_that_it_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no setting 'url'; leave it out"):
        connect({"url": "http://127.0.0.1"})
