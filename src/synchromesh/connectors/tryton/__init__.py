"""The connector to Tryton 8.2, an open-source ERP.

With the Tryton module `synchromesh` (in the folder `module/`) it is of the grade unique; without it (`module = false`) it works on a
plain Tryton and is of the grade askable. `server` runs a real Tryton for tests and examples, `provision` makes items and orders there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synchromesh.connectors.agreement import Connector


def connect(settings: Mapping[str, object]) -> Connector:
    """A connector from its settings, see `settings.Settings`. Raises `ValueError` naming the wrong key. Connects on first use."""
    # Imported here so that the entry point's package costs nothing where Tryton is not used.
    from synchromesh.connectors.tryton.askable import AskableConnector  # noqa: PLC0415
    from synchromesh.connectors.tryton.settings import read_settings  # noqa: PLC0415
    from synchromesh.connectors.tryton.unique import UniqueConnector  # noqa: PLC0415

    typed = read_settings(settings)
    return UniqueConnector(typed) if typed.module else AskableConnector(typed)
