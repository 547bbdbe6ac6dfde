"""In which of several databases the state of what lies: each plant in one, and so does everything for a business system, so that the
one who sends to it claims in one database alone. What belongs to no plant lies in the default one."""

from __future__ import annotations

from typing import Final

from synchromesh.app.settings import Settings
from synchromesh.model.message import ENTERPRISE
from synchromesh.state.agreement import StateError

DEFAULT: Final = ""
"""The part that `[state]` names."""


class Placing:
    """Which part of the state has what, as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self.parts = (DEFAULT, *settings.states)
        self._plants = {ENTERPRISE: DEFAULT, **{plant.id: plant.state for plant in settings.plants}}
        self._systems = {plant.erp: plant.state for plant in settings.plants}
        self._erps = tuple(settings.erps)

    @property
    def whole(self) -> bool:
        """Whether there is one database only."""
        return len(self.parts) == 1

    def of_partition(self, partition: str) -> str:
        """The part of a plant; of what is not in the settings any more the default one."""
        return self._plants.get(partition, DEFAULT)

    def of_system(self, system: str) -> str:
        """The part of everything that goes to a business system."""
        return self._systems.get(system, DEFAULT)

    def partitions(self, part: str) -> list[str]:
        """What the settings place in a part."""
        return [name for name, place in self._plants.items() if place == part]

    def systems(self, part: str) -> list[str]:
        return [name for name in self._erps if self.of_system(name) == part]

    def check(self, part: str, stored: set[str]) -> None:
        """Refuse a part that has plants which the settings place in another one: both would book what they are told. Raises
        `StateError`."""
        for name in sorted(stored & self._plants.keys()):
            if (place := self._plants[name]) != part:
                back = f'write `state = "{part}"` in its [[plant]] table' if part else "take the key `state` out of its [[plant]] table"
                raise StateError(
                    f"the state of {name} lies in {shown(part)}, and the configuration places it in {shown(place)}; "
                    f"nothing was taken in: {back}"
                )


def shown(part: str) -> str:
    """A part in the words of the file."""
    return f"[states.{part}]" if part else "[state]"


def whole_only(settings: Settings, what: str) -> None:
    """Refuse what can't be done with a state in several databases. Raises `StateError`."""
    if settings.states:
        raise StateError(
            f"{what} knows one database for the state, and this configuration names several; nothing was changed: use a configuration "
            "without [states.NAME] tables"
        )
