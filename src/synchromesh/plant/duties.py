"""Who looks after what kind of exception, and by when: the usual answers, which a plant's policy may change."""

from __future__ import annotations

from typing import Final

from synchromesh.model.posting import Category
from synchromesh.plant.policy import Policy

HOUR: Final = 60

USUAL: Final[dict[Category, tuple[str, int]]] = {
    Category.CLOSED_PERIOD: ("accounting", 8 * HOUR),
    Category.UNKNOWN_ITEM: ("master data", 4 * HOUR),
    Category.UNKNOWN_ORDER: ("production planning", 4 * HOUR),
    Category.UNKNOWN_LOT: ("warehouse", 4 * HOUR),
    Category.UNKNOWN_LOCATION: ("master data", 4 * HOUR),
    Category.LOT_NOT_USABLE: ("quality", 4 * HOUR),
    Category.INSUFFICIENT_STOCK: ("warehouse", 4 * HOUR),
    Category.MISSING_UNIT: ("master data", 4 * HOUR),
    Category.DUPLICATE: ("integration", 8 * HOUR),
    Category.LOCKED: ("integration", 1 * HOUR),
    Category.ORDER_NOT_RELEASED: ("production planning", 2 * HOUR),
    Category.ORDER_CLOSED: ("production planning", 8 * HOUR),
    Category.OVER_TOLERANCE: ("production planning", 8 * HOUR),
    Category.NOT_PERMITTED: ("integration", 4 * HOUR),
    Category.INVALID: ("integration", 4 * HOUR),
    Category.DIFFERENCE: ("accounting", 24 * HOUR),
    Category.OTHER: ("integration", 2 * HOUR),
}
"""By category: the owner, and the minutes after which an exception is late."""


def owner(policy: Policy, category: str) -> str:
    """Who looks after exceptions of this category in a plant of this policy."""
    known = Category(category)
    return policy.owners.get(known) or USUAL[known][0]


def minutes(policy: Policy, category: str) -> int:
    """By when such an exception shall be resolved, in minutes after it was opened."""
    known = Category(category)
    return policy.service_minutes.get(known) or USUAL[known][1]
