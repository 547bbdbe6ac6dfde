"""Tryton's stock moves, which know the posting they belong to and whether they were withdrawn after they were done."""

from __future__ import annotations

from typing import Any

from trytond.model import ModelView, fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval


class Move(metaclass=PoolMeta):
    """A move with its posting. Moves without one were made by people."""

    __name__ = "stock.move"

    synchromesh_posting = fields.Many2One(
        "synchromesh.posting", "Synchromesh Posting", readonly=True, ondelete="RESTRICT", states={"invisible": ~Eval("synchromesh_posting")}
    )
    synchromesh_withdrawn = fields.Boolean(
        "Withdrawn", readonly=True, states={"invisible": ~Eval("synchromesh_withdrawn")}, help="Cancelled after it was done."
    )

    @classmethod
    def default_synchromesh_withdrawn(cls) -> bool:
        return False

    @classmethod
    def copy(cls, moves: Any, default: Any = None) -> Any:
        """A copy is a new move: of no posting, and not withdrawn."""
        default = dict(default or {}, synchromesh_withdrawn=False)
        default.setdefault("synchromesh_posting", None)
        return super().copy(moves, default=default)  # type: ignore[misc]

    def check_lot(self) -> None:
        """A cancelled move moves nothing and needs no lot. Else no order could be completed that planned a component kept by lot."""
        if self.state != "cancelled":  # type: ignore[attr-defined]
            super().check_lot()  # type: ignore[misc]

    @classmethod
    @ModelView.button
    def cancel(cls, moves: Any) -> None:
        """Cancel, and remember which moves the books had held: a move that was only planned is no document."""
        done = [move for move in moves if move.state == "done"]
        super().cancel(moves)  # type: ignore[misc]
        if done:
            cls.write(done, {"synchromesh_withdrawn": True})
