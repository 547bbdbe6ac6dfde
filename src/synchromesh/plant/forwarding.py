"""The enterprise partition: what belongs to no plant or to all of them is handed on, identified by its cause and ordinal."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from synchromesh.model.event import EnterpriseEvent
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.plant.entities import Decision
from synchromesh.plant.view import View

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_names: Final = msgspec.json.Decoder(list[str]).decode


def hand_on(view: View, event: EnterpriseEvent, received: datetime, ordinal: int) -> None:
    """Forward the event to every plant that is activated at this position."""
    plants = view.of(Decision, "decision", "plants/" + ENTERPRISE)
    for plant in _names(plants.content) if plants is not None else ():
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
