"""The enterprise partition: what belongs to no plant or to several is handed on, identified by its cause and ordinal.

What a business system tells of its items, places and stock is for the plants that it books for: another one may use the same names, and its
books say nothing of theirs. What comes from elsewhere is for all plants.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from synchromesh.model.event import EnterpriseEvent
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.plant.entities import Decision
from synchromesh.plant.view import View

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_plants: Final = msgspec.json.Decoder(dict[str, str] | list[str]).decode

OF_SYSTEM: Final = "erp/"
"""What the source of everything begins with that a business system tells; its name follows."""


def hand_on(view: View, event: EnterpriseEvent, source: str, received: datetime, ordinal: int) -> None:
    """Forward the event to every plant that is activated at this position and that its source speaks to."""
    for plant in _addressed(view, source):
        view.forward(
            Message(
                partition=plant,
                source=ENTERPRISE,
                id=f"{view.position}/{ordinal}",
                interface=NATIVE,
                received=received,
                body=_encode(event),
                causation=f"{ENTERPRISE}:{view.position}",
            )
        )


def _addressed(view: View, source: str) -> list[str]:
    decision = view.of(Decision, "decision", "plants/" + ENTERPRISE)
    plants = _plants(decision.content) if decision is not None else []
    if isinstance(plants, list):  # an earlier program did not say which system books for each
        return plants
    system = source.removeprefix(OF_SYSTEM)
    return [plant for plant, target in plants.items() if system in (source, target)]
