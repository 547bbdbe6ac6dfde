"""Every way in which the sandbox says no: the category, the thing it is about, a sentence for a person and what to do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from synchromesh.connectors.sandbox.records import Place, Progress, Refused
from synchromesh.model import subject
from synchromesh.model.posting import Category, Posting, PostingKind, Refusal
from synchromesh.model.quantity import Quantity, plain

_OF_OPERATIONS: Final = frozenset({"confirmed", "labour", "machine"})
"""What an order's progress counts by operation; the rest is counted by item."""


def closed_period(day: date) -> Refused:
    return Refused(
        Category.CLOSED_PERIOD,
        subject.period(day),
        f"{day} lies in a closed posting period.",
        "Open the period, or post on an open day.",
    )


def unknown_item(item: str) -> Refused:
    return Refused(Category.UNKNOWN_ITEM, subject.item(item), f"Item {item!r} does not exist.", "Create the item, or correct its number.")


def unknown_order(order: str) -> Refused:
    if not order:
        return Refused(Category.UNKNOWN_ORDER, subject.order(""), "The posting names no order, and this kind needs one.", "Name the order.")
    return Refused(
        Category.UNKNOWN_ORDER, subject.order(order), f"Order {order!r} does not exist.", "Create the order, or correct its number."
    )


def unknown_lot(item: str, lot: str) -> Refused:
    if not lot:
        sentence, remedy = f"Item {item!r} is kept by lot, and the line names none.", "Name the lot."
    else:
        sentence, remedy = f"Lot {lot!r} of item {item!r} does not exist.", "Receive or create the lot first, or correct its number."
    return Refused(Category.UNKNOWN_LOT, subject.lot(lot, item), sentence, remedy)


def unknown_location(location: str) -> Refused:
    if not location:
        return Refused(
            Category.UNKNOWN_LOCATION, subject.location(""), "The line names no location, and the order has none.", "Name the location."
        )
    return Refused(
        Category.UNKNOWN_LOCATION,
        subject.location(location),
        f"Location {location!r} does not exist.",
        "Create the location, or correct its name.",
    )


def lot_not_usable(item: str, lot: str, why: str) -> Refused:
    return Refused(
        Category.LOT_NOT_USABLE,
        subject.lot(lot, item),
        f"Stock of item {item!r}{f', lot {lot!r},' if lot else ''} may not be issued: it is {why}.",
        "Release the stock, or issue another lot.",
    )


def insufficient(place: Place, there: Decimal, wanted: Decimal, unit: str) -> Refused:
    item, location, lot, status, _ = place
    where = f"{location!r}{f', lot {lot!r}' if lot else ''}{f', status {status!r}' if status else ''}"
    return Refused(
        Category.INSUFFICIENT_STOCK,
        subject.item(item),
        f"Item {item!r} at {where} has {plain(there)} {unit}, and {plain(wanted)} {unit} are needed.",
        "Receive or transfer the missing quantity, or correct the stock.",
    )


def missing_unit(item: str, unit: str, base: str) -> Refused:
    return Refused(
        Category.MISSING_UNIT,
        subject.unit(unit, item),
        f"Item {item!r} is kept in {base}, and nothing says how much one {unit} is.",
        f"Add the conversion from {unit} to {base} to the item.",
    )


def too_fine(item: str, quantity: Quantity, decimals: int, base: str) -> Refused:
    return Refused(
        Category.INVALID,
        subject.item(item),
        f"{quantity} of item {item!r} is no amount of {base} with {decimals} decimals.",
        "Round the quantity as the item is kept.",
    )


def order_not_released(order: str) -> Refused:
    return Refused(Category.ORDER_NOT_RELEASED, subject.order(order), f"Order {order!r} is not released.", "Release the order.")


def order_closed(order: str, status: str) -> Refused:
    return Refused(
        Category.ORDER_CLOSED,
        subject.order(order),
        f"Order {order!r} is {status}: nothing more may be booked.",
        "Reopen the order, or book without it.",
    )


def over_tolerance(order: str, total: Decimal, limit: Decimal) -> Refused:
    return Refused(
        Category.OVER_TOLERANCE,
        subject.order(order),
        f"Receipts of order {order!r} would reach {plain(total)}, and its tolerance ends at {plain(limit)}.",
        "Raise the order's quantity or tolerance, or correct the report.",
    )


def not_permitted(kind: PostingKind) -> Refused:
    return Refused(
        Category.NOT_PERMITTED, subject.kind(kind), f"The sender may not book documents of the kind {kind.value}.", "Grant the permission."
    )


def duplicate(key: str, document: str) -> Refused:
    return Refused(
        Category.DUPLICATE,
        subject.posting(key),
        f"Key {key!r} has booked document {document or '(awaiting approval)'} with other content.",
        "Send changed content under a new key.",
    )


def invalid(about: str, sentence: str, remedy: str) -> Refused:
    return Refused(Category.INVALID, about, sentence, remedy)


def negative(item: str) -> Refused:
    return invalid(subject.item(item), f"A negative quantity of item {item!r} is not accepted.", "Reverse the document and book it anew.")


def nothing_to_book(about: str) -> Refused:
    return invalid(about, "The posting books nothing: it has no line, or a line of zero.", "Leave it away, or name the quantities.")


def unknown_operation(order: str, operation: str) -> Refused:
    return invalid(
        subject.operation(operation, order),
        f"Order {order!r} has no operation {operation!r}.",
        "Correct the operation, or add it to the order.",
    )


def takes_back_too_much(order: str, what: Progress, booked: Decimal, back: Decimal) -> Refused:
    word, name = what
    return invalid(
        subject.operation(name, order) if word in _OF_OPERATIONS else subject.item(name),
        f"{plain(back)} {word} of {name!r} cannot be taken back: {plain(booked)} are booked.",
        "Check what was booked on the order.",
    )


def unknown_document(number: str) -> Refused:
    return invalid(subject.document(number), f"Document {number!r} does not exist.", "Name the document to reverse.")


def unknown_original(key: str) -> Refused:
    return invalid(subject.posting(key), f"Nothing is booked under the key {key!r}, so there is nothing to reverse.", "Name the document.")


def already_reversed(number: str, by: str) -> Refused:
    return Refused(
        Category.DUPLICATE, subject.document(number), f"Document {number!r} is already reversed by {by}.", "Nothing: its effect is gone."
    )


def reversal_of_reversal(number: str) -> Refused:
    return Refused(
        Category.NOT_PERMITTED,
        subject.document(number),
        f"Document {number!r} is itself a reversal.",
        "Book the original posting anew instead.",
    )


def declined(category: Category, key: str) -> Refused:
    return Refused(
        category, subject.posting(key), "The document was accepted first and then declined by its approver.", "Ask the approver."
    )


def locked(posting: Posting) -> Refused:
    what = subject.about(posting)
    return Refused(Category.LOCKED, what, f"{what[0].upper()}{what[1:]} is being processed by another user.", "Try again in a moment.")


def unavailable(where: str, words: str = "") -> Refusal:
    """The sandbox as a whole gave no answer, or takes nothing; `words` are its own."""
    return Refusal(
        Category.OTHER, subject.SYSTEM, f"The sandbox{where} gave no answer to the posting.", "Check that it runs.", words[:2000]
    )
