"""How the schema came to be what it is: one Alembic revision a change, run when a store of an older program is opened."""

from __future__ import annotations

from typing import Final

CURRENT: Final = "0004"
"""The revision that this program writes. Known without loading Alembic, so that a current store opens quickly; a test compares the two."""
