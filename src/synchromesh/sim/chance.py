"""Chance from a seed: every draw of a simulation comes from here, so that a bad night can be played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A source of draws. Streams of different names under one seed do not disturb each other."""

    def __init__(self, seed: int, stream: str) -> None:
        self._random = random.Random(f"{seed}/{stream}")  # noqa: S311 - repeatable, not secret

    def happens(self, rate: float) -> bool:
        """True in `rate` of all cases."""
        return rate > 0 and self._random.random() < rate

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible."""
        return low + int(self._random.random() * (high - low + 1))

    def one(self, of: Sequence[T]) -> T:
        return of[int(self._random.random() * len(of))]
