"""The connector's settings, read once and refused early with the wrong key named."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where Tryton is and how it is used.

    `module`: whether the Tryton module `synchromesh` is activated there. `warehouse` is the code of the warehouse of plants that `plants`
    does not name (plant to warehouse code); '' when Tryton has only one. `company` is the name of the company's party, '' for the user's
    own. `timeout` is in seconds and bounds one call; without the module it is also how long a given-up call may still commit.
    """

    url: str
    database: str
    user: str
    password: str
    module: bool = True
    company: str = ""
    warehouse: str = ""
    plants: dict[str, str] = {}
    batch: int = 50
    timeout: float = 60.0

    def warehouse_of(self, plant: str) -> str:
        """The code of a plant's warehouse; '' for the only one."""
        return self.plants.get(plant, self.warehouse)


def read_settings(raw: Mapping[str, object]) -> Settings:
    """Typed settings from a table. Raises `ValueError` naming the wrong key and what to write instead; it never shows the password."""
    known = Settings.__struct_fields__
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            instead = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
            raise ValueError(f"tryton: there is no setting {key!r}; {instead}")
    for key in ("url", "database", "user", "password"):
        if not raw.get(key):
            raise ValueError(f"tryton: the setting {key!r} is missing; {_EXAMPLES[key]}")
    try:
        settings = msgspec.convert(dict(raw), Settings)
    except msgspec.ValidationError as error:
        raise ValueError(f"tryton: a setting has the wrong type: {error}") from None
    if not settings.url.startswith(("http://", "https://")):
        raise ValueError(f"tryton: the setting 'url' must begin with http:// or https://, and it is {settings.url!r}")
    if not _is_address(settings.url):
        raise ValueError(f"tryton: the setting 'url' must name a host and, if any, a port up to 65535, and it is {settings.url!r}")
    if not 1 <= settings.batch <= _MAX_BATCH:
        raise ValueError(f"tryton: the setting 'batch' must be 1 to {_MAX_BATCH}, and it is {settings.batch}")
    if settings.timeout <= 0:
        raise ValueError(f"tryton: the setting 'timeout' must be more than 0 seconds, and it is {settings.timeout}")
    return settings


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_MAX_BATCH = 200

_EXAMPLES = {
    "url": 'write url = "http://127.0.0.1:8000"',
    "database": "write the name of the Tryton database",
    "user": "write the login of the integration user",
    "password": "write that user's password, best by reference to the environment",
}
