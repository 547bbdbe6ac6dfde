"""Every way in which the sandbox says no: the category, the thing it is about, a sentence for a person and what to do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from synchromesh.connectors.sandbox.records import Place, Progress, Refused
from synchromesh.model.posting import Category, PostingKind
from synchromesh.model.quantity import Quantity, plain


def closed_period(day: date) -> Refused:
    return Refused(
        Category.CLOSED_PERIOD,
        day.isoformat(),
        f"{day} lies in a closed posting period.",
        "Open the period, or post on an open day.",
    )


def unknown_item(item: str) -> Refused:
    return Refused(Category.UNKNOWN_ITEM, item, f"Item {item!r} does not exist.", "Create the item, or correct its number.")


def unknown_order(order: str) -> Refused:
    if not order:
        return Refused(Category.UNKNOWN_ORDER, order, "The posting names no order, and this kind needs one.", "Name the order.")
    return Refused(Category.UNKNOWN_ORDER, order, f"Order {order!r} does not exist.", "Create the order, or correct its number.")


def unknown_lot(item: str, lot: str) -> Refused:
    if not lot:
        sentence, remedy = f"Item {item!r} is kept by lot, and the line names none.", "Name the lot."
    else:
        sentence, remedy = f"Lot {lot!r} of item {item!r} does not exist.", "Receive or create the lot first, or correct its number."
    return Refused(Category.UNKNOWN_LOT, lot or item, sentence, remedy)


def unknown_location(location: str) -> Refused:
    if not location:
        return Refused(Category.UNKNOWN_LOCATION, location, "The line names no location, and the order has none.", "Name the location.")
    return Refused(
        Category.UNKNOWN_LOCATION, location, f"Location {location!r} does not exist.", "Create the location, or correct its name."
    )


def lot_not_usable(item: str, lot: str, why: str) -> Refused:
    return Refused(
        Category.LOT_NOT_USABLE,
        lot or item,
        f"Stock of item {item!r}{f', lot {lot!r},' if lot else ''} may not be issued: it is {why}.",
        "Release the stock, or issue another lot.",
    )


def insufficient(place: Place, there: Decimal, wanted: Decimal, unit: str) -> Refused:
    item, location, lot, status, _ = place
    where = f"{location!r}{f', lot {lot!r}' if lot else ''}{f', status {status!r}' if status else ''}"
    return Refused(
        Category.INSUFFICIENT_STOCK,
        item,
        f"Item {item!r} at {where} has {plain(there)} {unit}, and {plain(wanted)} {unit} are needed.",
        "Receive or transfer the missing quantity, or correct the stock.",
    )


def missing_unit(item: str, unit: str, base: str) -> Refused:
    return Refused(
        Category.MISSING_UNIT,
        item,
        f"Item {item!r} is kept in {base}, and nothing says how much one {unit} is.",
        f"Add the conversion from {unit} to {base} to the item.",
    )


def too_fine(item: str, quantity: Quantity, decimals: int, base: str) -> Refused:
    return Refused(
        Category.INVALID,
        item,
        f"{quantity} of item {item!r} is no amount of {base} with {decimals} decimals.",
        "Round the quantity as the item is kept.",
    )


def order_not_released(order: str) -> Refused:
    return Refused(Category.ORDER_NOT_RELEASED, order, f"Order {order!r} is not released.", "Release the order.")


def order_closed(order: str, status: str) -> Refused:
    return Refused(
        Category.ORDER_CLOSED, order, f"Order {order!r} is {status}: nothing more may be booked.", "Reopen the order, or book without it."
    )


def over_tolerance(order: str, total: Decimal, limit: Decimal) -> Refused:
    return Refused(
        Category.OVER_TOLERANCE,
        order,
        f"Receipts of order {order!r} would reach {plain(total)}, and its tolerance ends at {plain(limit)}.",
        "Raise the order's quantity or tolerance, or correct the report.",
    )


def not_permitted(kind: PostingKind) -> Refused:
    return Refused(
        Category.NOT_PERMITTED, kind.value, f"The sender may not book documents of the kind {kind.value}.", "Grant the permission."
    )


def duplicate(key: str, document: str) -> Refused:
    return Refused(
        Category.DUPLICATE,
        key,
        f"Key {key!r} has booked document {document or '(awaiting approval)'} with other content.",
        "Send changed content under a new key.",
    )


def invalid(subject: str, sentence: str, remedy: str) -> Refused:
    return Refused(Category.INVALID, subject, sentence, remedy)


def negative(item: str) -> Refused:
    return invalid(item, f"A negative quantity of item {item!r} is not accepted.", "Reverse the document and book it anew.")


def nothing_to_book(subject: str) -> Refused:
    return invalid(subject, "The posting books nothing: it has no line, or a line of zero.", "Leave it away, or name the quantities.")


def unknown_operation(order: str, operation: str) -> Refused:
    return invalid(operation or order, f"Order {order!r} has no operation {operation!r}.", "Correct the operation, or add it to the order.")


def takes_back_too_much(what: Progress, booked: Decimal, back: Decimal) -> Refused:
    word, name = what
    return invalid(
        name, f"{plain(back)} {word} of {name!r} cannot be taken back: {plain(booked)} are booked.", "Check what was booked on the order."
    )


def unknown_document(number: str) -> Refused:
    return invalid(number, f"Document {number!r} does not exist.", "Name the document to reverse.")


def already_reversed(number: str, by: str) -> Refused:
    return Refused(Category.DUPLICATE, number, f"Document {number!r} is already reversed by {by}.", "Nothing: its effect is gone.")


def reversal_of_reversal(number: str) -> Refused:
    return Refused(Category.NOT_PERMITTED, number, f"Document {number!r} is itself a reversal.", "Book the original posting anew instead.")


def declined(category: Category, key: str) -> Refused:
    return Refused(category, key, "The document was accepted first and then declined by its approver.", "Ask the approver.")


def locked(subject: str) -> Refused:
    return Refused(Category.LOCKED, subject, f"{subject!r} is being processed by another user.", "Try again in a moment.")
