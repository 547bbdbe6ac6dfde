"""A sandbox without books, for benchmarks: the least that an ERP can do, so that what is measured is what stands before it."""

from __future__ import annotations

import msgspec

from synchromesh.connectors.agreement import Finding, FindingState, Pulled
from synchromesh.connectors.sandbox.wire import Answer, Request, json_answer, problem
from synchromesh.model.posting import Fate, Reply


class _Keyed(msgspec.Struct):
    """Of a posting, its key."""

    key: str


_KEYS = msgspec.json.Decoder(list[_Keyed])


class Stub:
    """Answers every posting as posted, with a number, and keeps count and keys; no rules, no journal. For benchmarks alone."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.requests = 0
        self.repeats = 0

    def respond(self, request: Request) -> Answer:
        """Answer one request; a repeated key gets its first number."""
        match (request.method, *request.path):
            case ("POST", "postings"):
                return self._take(request.body)
            case ("GET", "postings", key):
                number = self.documents.get(key)
                reply = Reply(key=key, fate=Fate.POSTED, document=number) if number else None
                return json_answer(Finding(FindingState.BOOKED if reply else FindingState.ABSENT, reply))
            case ("GET", "changes"):
                return json_answer(Pulled(changes=[], cursor=""))
            case ("GET", "balances"):
                return json_answer([])
            case ("GET", "count"):
                return json_answer({"documents": len(self.documents), "requests": self.requests, "repeats": self.repeats})
        return problem(404, "a stub knows /postings, /changes, /balances and /count alone")

    def _take(self, body: bytes) -> Answer:
        try:
            keyed = _KEYS.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return problem(400, str(error)[:500])
        self.requests += 1
        replies = []
        for posting in keyed:
            number = self.documents.get(posting.key)
            if number is None:
                number = self.documents[posting.key] = str(4_900_000_001 + len(self.documents))
            else:
                self.repeats += 1
            replies.append(Reply(posting.key, Fate.POSTED, number))
        return json_answer(replies)
