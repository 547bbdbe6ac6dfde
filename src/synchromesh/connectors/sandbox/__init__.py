"""The sandbox: a simulated ERP with its own books, real refusals and faults on demand, and its connector.

`python -m synchromesh.connectors.sandbox` serves it over HTTP; `inprocess` has it without a network, deterministic, for simulations.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from synchromesh.connectors.agreement import Connector


def connect(settings: Mapping[str, object]) -> Connector:
    """The connector to a running sandbox; nothing is sent yet. Settings: see `client.Settings`.

    Raises `ValueError` naming the wrong key and what to write instead.
    """
    from synchromesh.connectors.sandbox.client import SandboxConnector, Settings  # noqa: PLC0415 - aiohttp loads when a sandbox is used

    known = Settings.__struct_fields__
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"the sandbox has no setting {key!r}; {hint}")
    if "url" not in settings:
        raise ValueError("the sandbox needs the setting 'url', for example url = \"http://127.0.0.1:8090\"")
    try:
        read = msgspec.convert(dict(settings), Settings)
    except msgspec.ValidationError as error:
        raise ValueError(f"a setting of the sandbox is wrong: {error}") from error
    try:
        urlsplit(read.url).port  # noqa: B018 - only reading it tells
    except ValueError as error:
        raise ValueError(f"the sandbox's url {read.url!r} is no address: {error}") from error
    return SandboxConnector(read)
