"""What an exception is about, in words that are the same whoever says it."""

from __future__ import annotations

from datetime import date


def item(item: str) -> str:
    return f"item {item}"


def order(order: str) -> str:
    return f"order {order}"


def location(location: str) -> str:
    return f"location {location}"


def lot(lot: str, item: str) -> str:
    return f"lot {lot} of item {item}"


def period(day: date) -> str:
    return f"period of {day.isoformat()}"


def unit(unit: str, item: str) -> str:
    return f"unit {unit} of item {item}"
