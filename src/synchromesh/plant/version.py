"""Which fold this program has, so that a state that an earlier one made can be told."""

from __future__ import annotations

from typing import Final

FOLD: Final = 2
"""Grows whenever a plant keeps something that it did not keep before. Then a state that was folded before lacks that of the time before:
it goes on, and is whole again when it is made anew from the log."""
