"""Tryton's units of measure in UN/CEFACT Recommendation 20 codes.

Tryton names a unit by its symbol. Its plain count "u" is told as EA and may be sent as EA, C62 or H87. A unit that Recommendation 20
does not know (a site's "box") keeps its symbol as its code.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from synchromesh.model.quantity import MAX_DECIMALS, Quantity, plain

CODES: Final = {
    "u": "EA",
    "kg": "KGM",
    "g": "GRM",
    "c": "CTM",
    "lb": "LBR",
    "oz": "ONZ",
    "s": "SEC",
    "min": "MIN",
    "h": "HUR",
    "d": "DAY",
    "m": "MTR",
    "km": "KMT",
    "cm": "CMT",
    "mm": "MMT",
    "ft": "FOT",
    "yd": "YRD",
    "in": "INH",
    "mi": "SMI",
    "m³": "MTQ",
    "l": "LTR",
    "cm³": "CMQ",
    "in³": "INQ",
    "ft³": "FTQ",
    "gal": "GLL",
    "m²": "MTK",
    "cm²": "CMK",
    "a": "ARE",
    "ha": "HAR",
    "in²": "INK",
    "ft²": "FTK",
    "yd²": "YDK",
    "kWh": "KWH",
    "MJ": "3B",
    "J": "JOU",
}
"""Symbol in Tryton to code."""

SYMBOLS: Final = {code: symbol for symbol, code in CODES.items()} | {"C62": "u", "H87": "u"}
"""Code to symbol in Tryton, with the synonyms of "each"."""


def code(symbol: str) -> str:
    """The code of a Tryton symbol; a symbol without one is its own."""
    return CODES.get(symbol, symbol)


def symbol(code: str) -> str:
    """The Tryton symbol of a code; a code without one is its own."""
    return SYMBOLS.get(code, code)


def quantity(amount: Decimal, symbol: str) -> Quantity:
    """An amount that Tryton told, without the traces of the binary float that it keeps amounts in."""
    return Quantity(Decimal(plain(round(amount, MAX_DECIMALS))), code(symbol))
