"""What a failed call means for a posting, and how a document is linked."""

from __future__ import annotations

from synchromesh.connectors.agreement import ConnectorError
from synchromesh.connectors.tryton.rpc import Busy, Changed, Denied, Failed, NotSent
from synchromesh.connectors.tryton.settings import Settings
from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Posting, Refusal, Reply


def undone(posting: Posting, error: ConnectorError) -> Reply:
    """A call without an answer to rely on: not booked when it was never sent, or rolled back; else in doubt."""
    if isinstance(error, Changed):
        remedy = "Let whoever works on it finish."
        return Reply(posting.key, Fate.RETRY, refusal=Refusal(Category.LOCKED, subject.about(posting), str(error), remedy))
    if isinstance(error, Busy):
        refusal = Refusal(Category.LOCKED, subject.SYSTEM, "Tryton is locked, or has too much to do.", "See who works there.", str(error))
        return Reply(posting.key, Fate.RETRY, refusal=refusal, retry_after=error.retry_after)
    if isinstance(error, NotSent):
        refusal = Refusal(Category.OTHER, subject.SYSTEM, "Tryton can't be reached.", "See that it runs and can be reached.", str(error))
        return Reply(posting.key, Fate.RETRY, refusal=refusal)
    if isinstance(error, Denied):
        sentence = "Tryton does not let Synchromesh do this."
        refusal = Refusal(
            Category.NOT_PERMITTED, subject.SYSTEM, sentence, "Correct the connector's settings or the user's rights.", str(error)
        )
        return Reply(posting.key, Fate.RETRY, refusal=refusal)
    if isinstance(error, Failed):
        return failed(posting, error)
    return Reply(posting.key, Fate.DOUBT)


def failed(posting: Posting, error: Failed) -> Reply:
    """Tryton's own refusal. It is told apart by type only: its words are translated."""
    if error.kind == "ServerError":
        sentence = "Tryton failed while it booked the posting, and rolled back."
        refusal = Refusal(Category.OTHER, subject.about(posting), sentence, "Ask who runs Tryton; its log has the cause.", error.detail)
    else:
        sentence = "Tryton refuses the posting for a reason of its own."
        refusal = Refusal(
            Category.OTHER, subject.about(posting), sentence, "Do what Tryton's own words ask for, then post again.", error.detail
        )
    return Reply(posting.key, Fate.REJECTED, refusal=refusal)


def link(settings: Settings, model: str, record: int) -> str:
    """The address that opens a record in Tryton's web client."""
    return f"{settings.url.rstrip('/')}/#{settings.database}/model/{model}/{record}"
