"""What a file says, as messages: its rows, and that it came to its end."""

from __future__ import annotations

from datetime import datetime

import msgspec

from synchromesh.edges.catalogue import Catalogue, IdentityError, checked_identity
from synchromesh.edges.files.folder import Drop, File
from synchromesh.edges.files.rows import FILE, LINE, Row
from synchromesh.model.event import InputEnded
from synchromesh.model.message import OWN, Message


def row_message(drop: Drop, catalogue: Catalogue, file: File, row: Row, received: datetime) -> Message:
    """A row as a payload of the drop's interface: its columns as texts, its number, and the name of its file.

    A row that can't be one, or does not say who it is, goes as its text with what is wrong before it, which no adapter can take for a
    payload; so it ends as an exception. It is then known by its file and number.
    """
    problem = row.problem
    if row.cells is not None:
        payload: dict[str, object] = {**row.cells, LINE: row.number, FILE: file.name}
        try:
            source, id = checked_identity(*catalogue.identity(drop.interface, payload))
            return Message(drop.plant, source, id, drop.interface, received, msgspec.json.encode(payload))
        except IdentityError as error:
            problem = str(error)
    told = f"row {row.number} of the file {file.name} can't be read: {problem}\n".encode() + row.raw
    source = catalogue.source(drop.interface)
    return Message(drop.plant, source, f"{file.id}:{row.number}", drop.interface, received, told, content_type="text/plain")


def end_message(drop: Drop, catalogue: Catalogue, file: File, received: datetime) -> Message:
    """That the source has told all of this file."""
    source = catalogue.source(drop.interface)
    body = msgspec.json.encode(InputEnded(source=source, name=file.name))
    return Message(drop.plant, source, f"{file.id}:end", OWN, received, body)
