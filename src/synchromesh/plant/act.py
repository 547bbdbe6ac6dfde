"""One fact as it is being folded: who told it, when it counts, and what it has touched so far."""

from __future__ import annotations

from datetime import date

import msgspec

from synchromesh.model.posting import Category
from synchromesh.plant.entities import Lane


class Act(msgspec.Struct, gc=False):
    """The fact at `position`, counting for the day `effective`. Rules note here what they touched.

    `lanes` have something open because of it; `rule` says why nothing is booked, when nothing is; `order` and `lot` are what the
    fact is found by; `original` is the group that a correction takes back from; `ordinal` the last one used for a posting. `as_of` is
    the position whose policy and order decide, 0 for this one's: what is taken back is what was applied then.
    """

    position: int
    source: str
    effective: date
    lanes: dict[str, Lane] = {}
    order: str = ""
    lot: str = ""
    operation: str = ""
    rule: str = ""
    original: int = 0
    ordinal: int = 0
    as_of: int = 0
    closes: dict[str, None] = {}
    """Lanes whose gather this fact closes."""


class Missing(Exception):
    """The fact speaks of something that is not known yet; `name` says of what, in words."""

    def __init__(self, name: str, order: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.order = order


class Refused(Exception):
    """The fact can't be booked as it is: a person must look."""

    def __init__(self, category: Category, subject: str, sentence: str, remedy: str, order: str = "") -> None:
        super().__init__(sentence)
        self.category = category
        self.subject = subject
        self.sentence = sentence
        self.remedy = remedy
        self.order = order
