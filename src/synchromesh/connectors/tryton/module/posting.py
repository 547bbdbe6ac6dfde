"""The model `synchromesh.posting`: the document of every posting, and the two calls that a connector needs.

`post` books a list of postings in the transaction of the request: a posting is in the books with its key, its number and its moves, or
nothing of it is. The key is unique by a constraint of the database, so a repeated request answers with the first document.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import ValidationError
from trytond.pool import Pool
from trytond.rpc import RPC
from trytond.transaction import Transaction, without_check_access

from synchromesh.connectors.tryton.module.books import Books, Record, Refused, stock_of
from synchromesh.connectors.tryton.module.plan import Plan, plan
from synchromesh.connectors.tryton.wire import Answer, Envelope, canonical, digest
from synchromesh.model import subject
from synchromesh.model.posting import Category, PostingKind, Refusal
from synchromesh.model.posting import Posting as CanonicalPosting

MAX_POSTINGS: Final = 200
"""The most postings of one request."""


class Posting(ModelSQL, ModelView):
    """Synchromesh Posting"""

    __name__ = "synchromesh.posting"
    _rec_name = "number"

    key = fields.Char("Key", required=True, readonly=True)
    number = fields.Char("Number", required=True, readonly=True)
    kind = fields.Selection([(kind.value, kind.value.capitalize()) for kind in PostingKind], "Kind", required=True, readonly=True)
    digest = fields.Char("Digest", required=True, readonly=True, help="SHA-256 of the content.")
    content = fields.Text("Content", required=True, readonly=True, help="The posting as it was sent, in JSON.")
    state = fields.Selection([("posted", "Posted"), ("reversed", "Reversed")], "State", required=True, readonly=True)
    company = fields.Many2One("company.company", "Company", required=True, readonly=True)
    effective_date = fields.Date("Effective Date", required=True, readonly=True)
    production = fields.Many2One("production", "Production", readonly=True, ondelete="RESTRICT")
    operation = fields.Char("Operation", readonly=True)
    labour = fields.TimeDelta("Labour", readonly=True)
    machine = fields.TimeDelta("Machine", readonly=True)
    reverses = fields.Many2One("synchromesh.posting", "Reverses", readonly=True, ondelete="RESTRICT")
    moves = fields.One2Many("stock.move", "synchromesh_posting", "Moves", readonly=True)

    @classmethod
    def __setup__(cls) -> None:
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints += [
            ("key_unique", Unique(table, table.key), "synchromesh.msg_key_unique"),
            ("number_unique", Unique(table, table.number), "synchromesh.msg_number_unique"),
        ]
        cls._order = [("id", "DESC")]
        cls.__rpc__.update(post=RPC(readonly=False), find=RPC(), balances=RPC())

    @classmethod
    def post(cls, envelopes: Sequence[object]) -> list[object]:
        """Book postings in their order, all in this transaction, and answer each; see `wire.Envelope` and `wire.Answer`.

        What is refused by a check writes nothing, and the others are booked. Any error of Tryton itself rolls the whole request back.
        """
        Pool().get("ir.model.access").check(cls.__name__, "create")
        if len(envelopes) > MAX_POSTINGS:
            raise ValidationError(f"a request may carry {MAX_POSTINGS} postings, and this one has {len(envelopes)}")
        cls._begin()
        with without_check_access(), Transaction().set_context(_skip_warnings=True):
            request = _Request(cls, Books(Transaction().context["company"]))
            answers = [request.take(envelope) for envelope in envelopes]
            request.write()
        return [msgspec.to_builtins(answers[index].value()) for index in range(len(answers))]

    @classmethod
    def find(cls, key: str) -> object:
        """The answer that a posting with this key got, or nothing when none is booked."""
        Pool().get("ir.model.access").check(cls.__name__, "read")
        with without_check_access():
            found = cls.search([("key", "=", key)])
            return msgspec.to_builtins(_replayed(found[0])) if found else None

    @classmethod
    def balances(cls, items: Sequence[str]) -> list[object]:
        """What is done in the books of every storage location, of these items or all; see `wire.Stock`."""
        Pool().get("ir.model.access").check(cls.__name__, "read")
        with without_check_access():
            return [msgspec.to_builtins(row) for row in stock_of(items)]

    @classmethod
    def _begin(cls) -> None:
        """One request posts at a time: what a check saw stays true until its posting is written.

        PostgreSQL takes the table's lock. SQLite has no table locks and begins its exclusive transaction with the first write, so one
        that changes nothing comes before the first look.
        """
        cls.lock()
        table = cls.__table__()
        with Transaction().connection.cursor() as cursor:
            cursor.execute(*table.update([table.state], ["posted"], where=table.id < 0))


class _Pending:
    """The answer of one posting: at hand, or after its plan is written."""

    def __init__(self, answer: Answer | None = None, key: str = "") -> None:
        self.answer = answer
        self.key = key
        self.replayed = False
        self.record: Record | None = None

    def value(self) -> Answer:
        if self.answer is not None:
            return self.answer
        assert self.record is not None
        return Answer(self.key, self.record.number, self.record.id, self.replayed)


class _Request:
    """The postings of one request: planned one by one, written together."""

    def __init__(self, model: Any, books: Books) -> None:
        self.model = model
        self.books = books
        self.plans: list[tuple[Plan, _Pending]] = []
        self.keys: dict[str, tuple[str, _Pending]] = {}

    def take(self, raw: object) -> _Pending:
        """Plan one posting, or answer it at once: refused, or booked before."""
        try:
            envelope = msgspec.convert(raw, Envelope)
        except msgspec.ValidationError as error:
            key = _key_of(raw)
            return _Pending(Answer(key, refusal=Refusal(Category.INVALID, subject.posting(key), f"the posting can't be read: {error}")))
        posting = envelope.posting
        try:
            return self._repeat(posting) or self._plan(posting, envelope.warehouse)
        except Refused as refused:
            return _Pending(Answer(posting.key, refusal=refused.refusal))

    def _repeat(self, posting: CanonicalPosting) -> _Pending | None:
        fingerprint = digest(posting)
        if posting.key in self.keys:
            first, pending = self.keys[posting.key]
            _check_same(posting.key, first, fingerprint)
            again = _Pending(key=posting.key)
            again.replayed = True
            self.write()
            again.record = pending.record
            return again
        found = self.model.search([("key", "=", posting.key)])
        if not found:
            return None
        _check_same(posting.key, found[0].digest, fingerprint)
        return _Pending(_replayed(found[0]))

    def _plan(self, posting: CanonicalPosting, warehouse_code: str) -> _Pending:
        original = None
        if posting.kind is PostingKind.REVERSAL:
            original = self._original(posting)
        accepted = plan(self.books, posting, warehouse_code, original)
        pending = _Pending(key=posting.key)
        self.plans.append((accepted, pending))
        self.keys[posting.key] = (digest(posting), pending)
        # What follows must see that the order is done and that the original is reversed.
        if posting.kind in {PostingKind.COMPLETION, PostingKind.REVERSAL}:
            self.write()
        return pending

    def _original(self, posting: CanonicalPosting) -> Record | None:
        if posting.reverses in self.keys:
            self.write()
        for field, value in (("key", posting.reverses), ("number", posting.reverses_document)):
            if value:
                found = self.model.search([(field, "=", value)])
                if found:
                    return found[0]
        return None

    def write(self) -> None:
        """Write what is planned, and read it back."""
        if not self.plans:
            return
        self.books.make_lots()
        numbers = Pool().get("ir.sequence")(Pool().get("ir.model.data").get_id("synchromesh", "sequence_posting")).get_many(len(self.plans))
        values = [self._posting_values(p, number) for (p, _), number in zip(self.plans, numbers, strict=True)]
        records = self.model.create(values)
        for (_, pending), record in zip(self.plans, records, strict=True):
            pending.record = record
        self._write_moves(records)
        for (accepted, _), record in zip(self.plans, records, strict=True):
            if accepted.reverses is not None:
                self.model.write([accepted.reverses], {"state": "reversed"})
            if accepted.posting.kind is PostingKind.COMPLETION:
                _complete(accepted.order, record)
        self._read_back(records)
        self.plans.clear()
        self.books.forget_stock()

    def _posting_values(self, accepted: Plan, number: str) -> dict[str, object]:
        posting = accepted.posting
        return {
            "key": posting.key,
            "number": number,
            "kind": posting.kind.value,
            "digest": digest(posting),
            "content": canonical(posting).decode(),
            "state": "posted",
            "company": self.books.company,
            "effective_date": posting.effective,
            "production": accepted.order.id if accepted.order else None,
            "operation": posting.operation or None,
            "labour": datetime.timedelta(seconds=posting.labour_seconds) if posting.labour_seconds else None,
            "machine": datetime.timedelta(seconds=posting.machine_seconds) if posting.machine_seconds else None,
            "reverses": accepted.reverses.id if accepted.reverses else None,
        }

    def _write_moves(self, records: Sequence[Record]) -> None:
        move = Pool().get("stock.move")
        values = [
            self._move_values(leg, accepted, record)
            for (accepted, _), record in zip(self.plans, records, strict=True)
            for leg in accepted.legs
        ]
        if values:
            move.do(move.create(values))

    def _move_values(self, leg: Any, accepted: Plan, record: Record) -> dict[str, object]:
        values: dict[str, object] = {
            "product": leg.item.id,
            "unit": leg.unit.id,
            "quantity": float(leg.amount),
            "from_location": leg.source.id,
            "to_location": leg.target.id,
            "company": self.books.company,
            "effective_date": accepted.posting.effective,
            "planned_date": accepted.posting.effective,
            "synchromesh_posting": record.id,
        }
        if leg.lot:
            lot = self.books.lot(leg.item, leg.lot, create=False)
            assert lot is not None
            values["lot"] = lot.id
        if leg.side:
            assert accepted.order is not None
            values[leg.side] = accepted.order.id
        if leg.source.type == "production" and leg.target.type == "storage":
            # Known only when the production is done; until then the average cost is not to be diluted by a price of zero.
            values["unit_price"] = leg.item.cost_price or 0
            values["currency"] = Pool().get("company.company")(self.books.company).currency.id
        return values

    def _read_back(self, records: Sequence[Record]) -> None:
        """Raise, and so roll back, unless the books hold what was sent: an absent error is no success in Tryton."""
        for (accepted, _), record in zip(self.plans, self.model.browse([r.id for r in records]), strict=True):
            booked = sorted((m.product.id, m.quantity, m.state) for m in record.moves)
            wanted = sorted((leg.item.id, float(leg.amount), "done") for leg in accepted.legs)
            completed = accepted.posting.kind is not PostingKind.COMPLETION or record.production.state == "done"
            if booked != wanted or not completed:
                detail = f"{booked} instead of {wanted}" if booked != wanted else f"the production is {record.production.state}"
                raise ValidationError(gettext("synchromesh.msg_not_booked", key=record.key, detail=detail))


def _complete(order: Record, record: Record) -> None:
    """Close a production at what was booked: what was only planned is withdrawn, then it runs through to done.

    Planned outputs are deleted, since Tryton gives every output of the production a lot when it is done, cancelled ones too.
    """
    pool = Pool()
    move, production = pool.get("stock.move"), pool.get("production")
    move.cancel([m for m in order.inputs if m.state not in {"done", "cancelled"}])
    planned = [m for m in order.outputs if m.state not in {"done", "cancelled"}]
    move.draft(planned)
    move.delete(planned)
    order = production(order.id)
    dates = [m.effective_date for m in (*order.inputs, *order.outputs) if m.state == "done"]
    first = min([order.effective_start_date or record.effective_date, *dates])
    production.write([order], {"effective_start_date": first, "effective_date": max([record.effective_date, *dates])})
    for step in (production.assign, production.run, production.do):
        step([production(order.id)])


def _check_same(key: str, first: str, again: str) -> None:
    if first != again:
        raise Refused(
            Category.DUPLICATE, subject.posting(key), f"the key {key} is booked with other content", "give changed content a key of its own"
        )


def _replayed(record: Record) -> Answer:
    return Answer(record.key, record.number, record.id, replayed=True)


def _key_of(raw: object) -> str:
    posting = raw.get("posting") if isinstance(raw, dict) else None
    key = posting.get("key") if isinstance(posting, dict) else None
    return key if isinstance(key, str) else ""
