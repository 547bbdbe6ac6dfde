"""From the TOML file to `Settings`: every wrong key, type, name and path is found before anything starts, and all are told at once."""

from __future__ import annotations

import codecs
import os
import tomllib
from collections.abc import Callable, Generator, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal, cast, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from synchromesh.app import plugins
from synchromesh.app.faults import Fault, Lines, Place, SettingsError, nearest, shown, where
from synchromesh.app.settings import DERIVED, Erp, Log, Plant, Settings, State
from synchromesh.engine.sending import Retry
from synchromesh.model.message import ENTERPRISE

MAX_FILE: Final = 1_000_000
"""A configuration file is smaller than this, in bytes."""

Table = dict[str, object]
Found = Iterator[tuple[Place, str]]
"""Faults as place and sentence."""


def read_settings(path: Path) -> Settings:
    """Read and check one file. Raises `SettingsError` with everything that is wrong with it.

    Paths in the result are absolute, values from the environment are filled in, each plant's policy has its zone and target. Only
    names and paths are checked: no adapter is loaded and no business system is asked (see `synchromesh check`).
    """
    text, raw = _parse(path)
    lines = Lines(text)
    base = path.resolve().parent
    found = [*_policies(raw), *_environment(raw), *_stores(raw), *_systems(raw)]
    found += _walk(Settings, raw, (), base)
    found += [*_references(raw), *_paths(raw, base)]
    if found:
        raise SettingsError([Fault(shown(path), lines.of(place), where(place), sentence) for place, sentence in found])
    settings = msgspec.convert(raw, Settings, dec_hook=_decoder(base))
    general = msgspec.structs.replace(settings.synchromesh, data=base / settings.synchromesh.data)
    return msgspec.structs.replace(settings, synchromesh=general, plants=tuple(map(_with_policy, settings.plants)))


def _with_policy(plant: Plant) -> Plant:
    policy = msgspec.structs.replace(plant.policy, target=plant.erp, zone=plant.zone.key)
    return msgspec.structs.replace(plant, policy=policy)


def _parse(path: Path) -> tuple[str, Table]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise _refused(path, f"a configuration file is smaller than {MAX_FILE:,} bytes; this is another file")
        text = path.read_bytes().decode("utf-8")
        return text, cast(Table, tomllib.loads(text))
    except FileNotFoundError as error:
        raise _refused(path, "there is no such file; `synchromesh init` writes one") from error
    except OSError as error:
        raise _refused(path, f"it can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(path, f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refused(path, f"it is not TOML: {error}") from error


def _refused(path: Path, sentence: str) -> SettingsError:
    return SettingsError([Fault(shown(path), 0, "", sentence)])


# --- what TOML can say and the structs can't: done first, so that the walk sees plain structs ------------------------------


def _policies(raw: Table) -> Found:
    """What a policy takes from elsewhere is refused here, with the place that decides it."""
    for place, plant in _tables(raw, "plant"):
        policy = plant.get("policy")
        for key in [key for key in DERIVED if isinstance(policy, dict) and key in policy]:
            del cast(Table, policy)[key]
            yield (*place, "policy", key), f"this is not set here: {DERIVED[key]}"


def _environment(raw: Table) -> Found:
    """`{ env = "NAME" }` is the variable's value, in the tables that may hold a password: of business systems, log and state."""
    tables: list[tuple[Place, Table]] = [(("erp", name), table) for name, table in _named(raw, "erp")]
    tables += [((section,), table) for section in ("log", "state") if isinstance(table := raw.get(section), dict)]
    tables += [(("states", name), table) for name, table in _named(raw, "states")]
    for place, table in tables:
        for key, value in table.items():
            if isinstance(value, dict) and set(value) == {"env"}:
                variable = str(value["env"])
                if variable not in os.environ:
                    yield (*place, key), f"the environment has no variable {variable}; set it before the start"
                table[key] = os.environ.get(variable, "")


def _systems(raw: Table) -> Found:
    """What the keys of `[erp.X]` that are not ours say, goes to the connector as it is. A table that is almost ours is no connector's."""
    known = plugins.names(plugins.CONNECTORS)
    for name, table in list(_named(raw, "erp")):
        ours = {key: value for key, value in table.items() if key in _OURS}
        rest = {key: value for key, value in table.items() if key not in _OURS}
        for key in [key for key, value in rest.items() if isinstance(value, dict) and get_close_matches(key, _OURS, cutoff=0.65)]:
            yield ("erp", name, key), f"there is no such table; {nearest(key, _OURS)}"
        yield from _pauses(("erp", name, "retry"), table.get("retry"))
        connector = table.get("connector")
        if isinstance(connector, str) and connector not in known:
            yield ("erp", name, "connector"), f"no connector {connector!r} is installed; {nearest(connector, known)}"
        cast(Table, raw["erp"])[name] = {**ours, _REST: rest}


def _stores(raw: Table) -> Found:
    """What the keys of `[log]` and `[state]` that are not ours say, goes to the plug-in that the address names as it is."""
    for section, group, ours in _STORES:
        if isinstance(table := raw.get(section), dict):
            raw[section] = yield from _store((section,), table, section, group, ours)
    _, group, ours = _STORES[-1]
    for name, table in list(_named(raw, "states")):
        if not name or len(name) > 64:
            yield ("states", name), "a name has 1 to 64 characters"
        if str(table.get("address", "sqlite:")).startswith("sqlite:"):
            yield ("states", name, "address"), "a further database is no file of the data folder: name one such as `postgresql://…`"
        cast(Table, raw["states"])[name] = yield from _store(("states", name), table, "state", group, ours)


def _store(place: Place, table: Table, section: str, group: str, ours: frozenset[str]) -> Generator[tuple[Place, str], None, Table]:
    known = plugins.names(group)
    address = table.get("address", "sqlite:")
    scheme = address.partition(":")[0] if isinstance(address, str) else ""
    if ":" in str(address) and scheme not in known:
        yield (*place, "address"), f"no {section} {scheme!r} is installed; {nearest(scheme, known)}"
    rest = {key: value for key, value in table.items() if key not in ours}
    if scheme == "sqlite":  # it has no settings of its own: a wrong key is told as one of ours
        return table
    return {**{key: value for key, value in table.items() if key in ours}, _REST: rest}


_REST: Final = "settings"
"""The field for the keys that only a plug-in knows: no key of the file itself."""

_STORES: Final = tuple(
    (section, group, frozenset(field.name for field in msgspec.structs.fields(kind) if field.name != _REST))
    for section, group, kind in (("log", plugins.LOGS, Log), ("state", plugins.STATES, State))
)

_OURS: Final = [field.name for field in msgspec.structs.fields(Erp) if field.name != _REST]


def _pauses(place: Place, retry: object) -> Found:
    """A longest pause is no shorter than the first one."""
    table = retry if isinstance(retry, dict) else {}
    for first, longest in _PAUSES:
        shortest, most = table.get(first, getattr(_RETRY, first)), table.get(longest, getattr(_RETRY, longest))
        if isinstance(shortest, int | float) and isinstance(most, int | float) and most < shortest:
            yield (*place, longest if longest in table else first), f"{longest} ({most:g}) must not be less than {first} ({shortest:g})"


_RETRY: Final = Retry()
_PAUSES: Final = (
    ("backoff_seconds", "longest_seconds"),
    ("follow_seconds", "longest_follow_seconds"),
    ("approval_seconds", "longest_follow_seconds"),
)


# --- keys and types ---------------------------------------------------------------------------------------------------


def _walk(kind: object, value: object, place: Place, base: Path) -> Found:
    item = _item(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _struct(kind, value, place, base)
    elif item is not None and get_origin(kind) is tuple and isinstance(value, list):
        for index, one in enumerate(value):
            yield from _walk(item, one, (*place, index), base)
    elif item is not None and get_origin(kind) is dict and isinstance(value, dict):
        for name, one in value.items():
            yield from _walk(item, one, (*place, name), base)
    else:
        yield from _leaf(kind, value, place, base)


def _item(kind: object) -> type[msgspec.Struct] | None:
    """The struct that a `tuple[Struct, ...]` or `dict[str, Struct]` holds."""
    for argument in get_args(kind):
        if isinstance(argument, type) and issubclass(argument, msgspec.Struct):
            return argument
    return None


def _struct(kind: type[msgspec.Struct], value: object, place: Place, base: Path) -> Found:
    if not isinstance(value, dict):
        yield place, f"must be a table, not {_word(value)}"
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            yield (*place, key), f"there is no such key; {nearest(key, [name for name in fields if name != _REST])}"
    for name, field in fields.items():
        if name in value:
            yield from _walk(field.type, value[name], (*place, name), base)
        elif field.required:
            yield (*place, name), "is missing"


def _leaf(kind: object, value: object, place: Place, base: Path) -> Found:
    try:
        msgspec.convert(value, kind, dec_hook=_decoder(base))
    except msgspec.ValidationError as error:
        description = _description(kind)
        yield place, f"must be {description}, not {_cut(value)}" if description else f"{_plain(str(error))}, not {_cut(value)}"


def _description(kind: object) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return next((meta.description for meta in get_args(kind) if isinstance(meta, msgspec.Meta) and meta.description), "")


def _decoder(base: Path) -> Callable[[type, object], object]:
    def decode(kind: type, value: object) -> object:
        if kind is object:
            return value
        if not isinstance(value, str):
            raise ValueError("must be a text in quotes")
        return _zone(value) if kind is ZoneInfo else (base / Path(value).expanduser()).resolve()

    return decode


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = get_close_matches(name, available_timezones(), n=1, cutoff=0.5) or ["Europe/Oslo"]
        raise ValueError(f"must be an IANA time zone such as {near[0]!r}") from error


_WORDS: Final = {
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def _plain(error: str) -> str:
    """The decoder's words in the words of the file: 'Expected `int`, got `str`' becomes 'must be a whole number'."""
    said = error.split(" - at `", maxsplit=1)[0]
    if said.startswith("Expected `"):
        expected = said.split("`")[1]
        rest = said.split("`", 2)[2].split(", got")[0]
        return "must be " + " or ".join(_WORDS.get(word.strip(), word) for word in expected.split("|")) + rest
    return said


def _word(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date")


def _cut(value: object) -> str:
    text = _word(value) if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


# --- names and paths --------------------------------------------------------------------------------------------------------


def _references(raw: Table) -> Found:
    systems = [name for name, _ in _named(raw, "erp")]
    seen: set[object] = set()
    if not list(_tables(raw, "plant")):
        yield ("plant",), "there must be at least one [[plant]]"
    for place, plant in _tables(raw, "plant"):
        if plant.get("id") == ENTERPRISE:
            yield (*place, "id"), f"{ENTERPRISE!r} is the name of what belongs to no plant; choose another"
        if isinstance(plant.get("id"), str) and plant["id"] in seen:
            yield (*place, "id"), f"there are two plants {plant['id']!r}"
        if isinstance(plant.get("id"), str):
            seen.add(plant["id"])
        if isinstance(erp := plant.get("erp"), str) and erp not in systems:
            yield (*place, "erp"), f"there is no [erp.{erp}]; {nearest(erp, systems)}"
    yield from _placed(raw)


def _placed(raw: Table) -> Found:
    """Each plant lies in a database that there is, those of one business system in the same one, and no two tables name one database."""
    names = [name for name, _ in _named(raw, "states")]
    seen: dict[str, object] = {}
    for place, plant in _tables(raw, "plant"):
        erp, state = plant.get("erp"), plant.get("state", "")
        if state and isinstance(state, str) and state not in names:
            yield (*place, "state"), f"there is no [states.{state}]; {nearest(state, names)}"
        if isinstance(erp, str) and seen.setdefault(erp, state) != state:
            yield (*place, "state"), f"the plants of [erp.{erp}] must lie in one database; name another [erp.NAME] table for this one"
    tables = [table for table in [raw.get("state"), *(table for _, table in _named(raw, "states"))] if isinstance(table, dict)]
    for name, table in _named(raw, "states"):
        if tables.count(table) > 1:
            yield ("states", name), "another table names the same database: give each its own, or another schema"


def _paths(raw: Table, base: Path) -> Found:
    general = raw.get("synchromesh")
    data = general.get("data") if isinstance(general, dict) else None
    if isinstance(data, str) and (base / Path(data).expanduser()).exists() and not (base / Path(data).expanduser()).is_dir():
        yield ("synchromesh", "data"), f"{data!r} is a file and no folder; name a folder, which is made at the first start"
    drops: set[Path] = set()
    for place, plant in _tables(raw, "plant"):
        adapters = plant.get("adapters")
        for adapter in adapters if isinstance(adapters, list) else ():
            if isinstance(adapter, str) and not (base / Path(adapter).expanduser() / "adapter.toml").is_file():
                yield (*place, "adapters"), f"{adapter!r} is no folder of an adapter: it has no file adapter.toml"
        for below, table in _tables(plant, "files"):
            folder, encoding = table.get("folder"), table.get("encoding")
            if isinstance(folder, str) and not (base / Path(folder).expanduser()).is_dir():
                yield (*place, *below, "folder"), f"there is no folder {folder!r}; make it, or correct the path"
            elif isinstance(folder, str) and (drop := (base / Path(folder).expanduser()).resolve()) in drops:
                yield (*place, *below, "folder"), f"{folder!r} is a drop folder already; give each its own"
            elif isinstance(folder, str):
                drops.add(drop)
            if isinstance(encoding, str) and not _is_encoding(encoding):
                yield (*place, *below, "encoding"), f"there is no encoding {encoding!r}; common are 'utf-8', 'cp1252' and 'latin-1'"


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return True


def _tables(raw: Mapping[str, object], key: str) -> Iterator[tuple[Place, Table]]:
    """The tables of an array of tables, with their places; what is not one is left to the walk."""
    array = raw.get(key)
    for index, table in enumerate(array if isinstance(array, list) else ()):
        if isinstance(table, dict):
            yield (key, index), table


def _named(raw: Table, key: str) -> Iterator[tuple[str, Table]]:
    """The tables below a table, such as `[erp.main]`."""
    table = raw.get(key)
    for name, one in table.items() if isinstance(table, dict) else ():
        if isinstance(one, dict):
            yield name, one
