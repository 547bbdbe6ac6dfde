"""What expressions are made of at run time: the functions a manifest may call, and exact arithmetic.

Nothing (None) stays nothing through every function but `first`, `present`, `matches` and `concat`, so an optional field is simply
left out of the event. What can't be taken raises `Unfit` with a sentence; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from fractions import Fraction
from typing import Final

from synchromesh.mapping.refusal import Unfit
from synchromesh.model.quantity import EXACT, Quantity, plain
from synchromesh.model.unit import UNITS, nearest_unit

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_LONGEST_NUMBER: Final = 40
_LARGEST: Final = Decimal(10) ** 30
_REMEMBERED: Final = 8_192
_LONGEST_TEXT: Final = 10_000


def _bounded(number: Decimal, value: object) -> Decimal:
    if not number.is_finite() or not -_LARGEST < number < _LARGEST or (number and number.adjusted() < -30):
        raise Unfit("this number is too large or too fine for any quantity", value)
    return number


def number_reader(decimal_mark: str) -> Callable[[object], Decimal | None]:
    """The function `number(x)`: the exact decimal of a JSON number or of digits with this decimal mark. No thousands separators."""

    def number(value: object) -> Decimal | None:
        kind = type(value)
        if kind is str:
            assert isinstance(value, str)
            text = value.strip()
            if len(text) <= _LONGEST_NUMBER:
                if text.isascii() and text.isdigit():
                    return _bounded(Decimal(text), value)
                if decimal_mark != ".":
                    text = "" if "." in text else text.replace(decimal_mark, ".")
                if _NUMBER.fullmatch(text):
                    return _bounded(Decimal(text), value)
            raise Unfit(f"this is not a number (digits, at most one {decimal_mark!r}, no separators)", value)
        if kind is int or kind is Decimal:
            assert isinstance(value, int | Decimal)
            return _bounded(Decimal(value), value)
        if value is None:
            return None
        raise Unfit("this is not a number", value)

    return number


def text(value: object) -> str | None:
    """`text(x)`: a text as it is, a number in plain digits."""
    if type(value) is str:
        return value
    if value is None:
        return None
    if type(value) is int or type(value) is Decimal:
        return plain(_bounded(Decimal(value), value))
    raise Unfit("this is neither text nor a number", value)


def trim(value: object) -> str | None:
    """`trim(x)`: without white space around."""
    read = text(value)
    return None if read is None else read.strip()


def squash(value: object) -> str | None:
    """`squash(x)`: without white space around, and every run of white space inside as one blank."""
    read = text(value)
    return None if read is None else " ".join(read.split())


def lower(value: object) -> str | None:
    """`lower(x)`: in small letters."""
    read = text(value)
    return None if read is None else read.lower()


def upper(value: object) -> str | None:
    """`upper(x)`: in capitals."""
    read = text(value)
    return None if read is None else read.upper()


def concat(*values: object) -> str:
    """`concat(x, ...)`: one after the other; nothing adds nothing."""
    joined = "".join([text(value) or "" for value in values])
    if len(joined) > _LONGEST_TEXT:
        raise Unfit(f"the joined text has more than {_LONGEST_TEXT} characters", joined)
    return joined


def present(value: object) -> bool:
    """`present(x)`: whether the field is there and neither null nor blank."""
    return value is not None and not (type(value) is str and not value.strip())


def first(*values: object) -> object:
    """`first(x, ...)`: the first that is present, else nothing."""
    for value in values:
        if present(value):
            return value
    return None


def some(value: object) -> Quantity | None:
    """`some(q)`: the quantity, or nothing when it is zero."""
    if value is None:
        return None
    if not isinstance(value, Quantity):
        raise Unfit("some(q) takes a quantity(...)", value)
    return value if value.amount else None


def quantity_reader(number: Callable[[object], Decimal | None], units: Mapping[str, str]) -> Callable[[object, object], Quantity | None]:
    """The function `quantity(x, unit)`: the unit as the manifest's `[units]` translates it, else a Recommendation 20 code."""
    remembered: dict[tuple[str, str], Quantity] = {}

    def read(value: object, unit: object) -> Quantity | None:
        amount = number(value)
        if amount is None:
            return None
        if unit is None or unit == "":
            raise Unfit("the quantity has no unit; no quantity is taken without one", value)
        if type(unit) is not str:
            raise Unfit("a unit is a text", unit)
        return Quantity(amount, _unit(unit, units))

    def quantity(value: object, unit: object) -> Quantity | None:
        if type(value) is not str or type(unit) is not str:
            return read(value, unit)
        known = remembered.get((value, unit))  # plants report the same few amounts over and over; equal texts are equal quantities
        if known is None:
            known = read(value, unit)
            if known is not None and len(value) <= _LONGEST_NUMBER and len(remembered) < _REMEMBERED:
                remembered[value, unit] = known
        return known

    return quantity


def _unit(unit: str, units: Mapping[str, str]) -> str:
    code = units.get(unit)
    if code is not None:
        return code
    if unit in UNITS:
        return unit
    near = nearest_unit(unit) if len(unit) <= 16 else ""
    raise Unfit(f"the unit is unknown; add it to [units] of the adapter{f' (as {near}?)' if near else ''}", unit)


def seconds_reader(number: Callable[[object], Decimal | None]) -> Callable[[object, str], int | None]:
    """The function `seconds(x, unit)`: a duration in a Recommendation 20 unit of time as whole seconds, a half to the even one."""

    def seconds(value: object, unit: str) -> int | None:
        amount = number(value)
        if amount is None:
            return None
        whole = round(Fraction(amount) * UNITS[unit].factor)
        if not 0 <= whole < 10**10:
            raise Unfit("this is not a duration that a report can have", value)
        return whole

    return seconds


def code_reader(name: str, entries: Mapping[str, str]) -> Callable[[object], str | None]:
    """The function `code(list, x)` for one list. A code that the list lacks is refused, never passed on."""

    def code(value: object) -> str | None:
        read = text(value)
        if read is None:
            return None
        found = entries.get(read)
        if found is None:
            raise Unfit(f"the code is not in the list {name!r}; add it to codes/{name}.csv of the adapter", value)
        return found

    return code


def truth(value: object) -> bool:
    """A condition must be true or false; anything else is an error of payload or mapping, not a yes."""
    if value is True or value is False:
        return value
    raise Unfit("a condition needs true or false here; compare the field with something", value)


def whole(value: object) -> int | None:
    """A number for a field that takes whole numbers."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, Decimal) and abs(value) < _LARGEST and value == value.to_integral_value():
        return int(value)
    raise Unfit("this is not a whole number; use number(x)", value)


def elements(value: object, limit: int) -> list[object]:
    """The elements that a rule's `each` goes through."""
    if not isinstance(value, list):
        raise Unfit("this is not a list", value)
    if len(value) > limit:
        raise Unfit(f"this list has {len(value)} elements, more than the {limit} that `limits.events` of the adapter allows", "")
    return value


def dig(value: object, *path: str | int) -> object:
    """A field that need not be there: nothing when any step is missing."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _number(value: object) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    raise Unfit("arithmetic needs numbers; use number(x)", value)


def _exact(operation: Callable[[Decimal, Decimal], Decimal]) -> Callable[[object, object], Decimal | None]:
    def calculate(left: object, right: object) -> Decimal | None:
        if left is None or right is None:
            return None
        try:
            return _bounded(operation(_number(left), _number(right)), left)
        except DecimalException:
            raise Unfit("the result has no exact decimal; report in a unit that has one", f"{left!r}, {right!r}") from None

    return calculate


subtract: Final = _exact(EXACT.subtract)
multiply: Final = _exact(EXACT.multiply)
divide: Final = _exact(EXACT.divide)
_add: Final = _exact(EXACT.add)


def add(left: object, right: object) -> Decimal | str | None:
    """The sum of numbers, or two texts one after the other."""
    if type(left) is str and type(right) is str:
        return concat(left, right)
    return _add(left, right)
