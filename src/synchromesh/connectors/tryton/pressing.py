"""Pressing buttons in Tryton. A warning is a question to a person; a posting was decided before it came here, so it is answered yes."""

from __future__ import annotations

from collections.abc import Sequence

from synchromesh.connectors.tryton.rpc import Failed, Tryton

_MAX_WARNINGS = 10


async def press(tryton: Tryton, button: str, records: Sequence[int]) -> None:
    """Call a button such as "stock.move.do" on records, confirming the warnings that Tryton raises. What came of it is to be read back:
    a button that does nothing raises nothing either. Raises an `RpcError`."""
    for _ in range(_MAX_WARNINGS):
        try:
            await tryton.call(f"model.{button}", [*records])
        except Failed as error:
            if error.kind != "UserWarning":
                raise
            await tryton.call("model.res.user.warning.skip", error.name, False)
        else:
            return
    raise Failed("UserWarning", f"{button} asks more than {_MAX_WARNINGS} questions")
