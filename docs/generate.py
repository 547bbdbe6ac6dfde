"""Writes the pages of docs/reference that say what the code says: options, events, categories, signals. `make docs` runs it.

The text is that of the docstrings, those under fields included. `tests/docs` fails when a page differs from what this would write.
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec

from synchromesh.app import settings
from synchromesh.connectors import listening, sandbox, tryton
from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.client import Settings as SandboxSettings
from synchromesh.connectors.tryton.settings import Settings as TrytonSettings
from synchromesh.engine import sending
from synchromesh.mapping import expression, manifest
from synchromesh.model import event, posting
from synchromesh.observe import names
from synchromesh.plant.fates import Fate
from synchromesh.plant.policy import Policy

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code: change it there. -->\n"


def main() -> None:
    """Write every page again."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Each generated page by its file name."""
    return {
        "configuration.md": "\n".join([NOTE, *_configuration()]),
        "adapters.md": "\n".join([NOTE, *_adapters()]),
        "connectors.md": "\n".join([NOTE, *_connectors()]),
        "events.md": "\n".join([NOTE, *_events()]),
        "categories.md": "\n".join([NOTE, *_categories()]),
        "signals.md": "\n".join([NOTE, *_signals()]),
    }


# --- the pages ---------------------------------------------------------------------------------------------------------------


def _configuration() -> Iterator[str]:
    yield "# Configuration\n"
    yield "One TOML file, `synchromesh.toml`. `synchromesh init` writes a commented one; `synchromesh check` names every wrong key and the"
    yield "nearest right one. A relative path is relative to the folder of the file. A secret comes from the environment: in an"
    yield '`[erp.NAME]` table, `password = { env = "ERP_PASSWORD" }` takes the value of that variable.\n'
    tables: list[tuple[str, type[msgspec.Struct]]] = [
        ("[synchromesh]", settings.General),
        ("[http]", settings.Http),
        ("[log]", settings.Log),
        ("[state] and [states.NAME]", settings.State),
        ("[limits]", settings.Limits),
        ("[[plant]]", settings.Plant),
        ("[plant.policy]", Policy),
        ("[plant.reconcile]", settings.Reconcile),
        ("[[plant.files]]", settings.Files),
        ("[erp.NAME]", settings.Erp),
        ("[erp.NAME.limits]", sending.Limits),
        ("[erp.NAME.retry]", sending.Retry),
    ]
    for title, struct in tables:
        yield f"## `{title}`\n\n{_flat(struct.__doc__)}\n"
        yield from _options(struct)
    yield "What a connector's own keys are, its page says: [connectors](connectors.md).\n"


def _options(struct: type[msgspec.Struct]) -> Iterator[str]:
    hidden = set(settings.DERIVED) if struct is Policy else {"settings"} if struct is settings.Erp else set()
    said = field_docs(struct)
    yield "| key | kind | default | meaning |\n|---|---|---|---|"
    for field in msgspec.structs.fields(struct):
        if field.encode_name not in hidden:
            yield f"| `{field.encode_name}` | {_cell(_kind(field.type))} | {_default(field)} | {_cell(said.get(field.name, ''))} |"
    yield ""


def _adapters() -> Iterator[str]:
    yield "# Adapters\n"
    yield _flat(manifest.__doc__) + "\n"
    yield "[How to write one](../how-to/adapter.md).\n"
    for title, struct in (("adapter.toml", manifest.Manifest), ("[rules.NAME]", manifest.Rule), ("[limits]", manifest.Limits)):
        yield f"## `{title}`\n\n{_flat(struct.__doc__)}\n"
        yield from _options(struct)
    yield f"## Expressions\n\n{_flat(expression.__doc__)}\n"
    yield f"The functions: {', '.join(f'`{name}`' for name in expression.FUNCTIONS)}.\n"


def _connectors() -> Iterator[str]:
    yield "# Connectors\n"
    yield "Which business systems can be connected, and the keys of their `[erp.NAME]` tables. A package of its own can bring more:"
    yield "[how to write a connector](../how-to/connector.md).\n"
    yield "Each has a grade, which says what the promise is worth there:\n"
    yield from _words(Grade)
    for name, package, struct in (("sandbox", sandbox, SandboxSettings), ("tryton", tryton, TrytonSettings)):
        yield f'## `connector = "{name}"`\n\n{_flat(package.__doc__)}\n\n{_flat(struct.__doc__)}\n'
        yield "| key | kind | default |\n|---|---|---|"
        for field in msgspec.structs.fields(struct):
            yield f"| `{field.encode_name}` | {_cell(_kind(field.type))} | {_default(field)} |"
        yield ""
    yield f'## `connector = "listening"`\n\n{_flat(listening.__doc__)} It has no keys.\n'


def _events() -> Iterator[str]:
    yield "# Events\n"
    yield _flat(event.__doc__) + "\n"
    groups = [
        ("What a source in a plant may tell", event.PlantEvent),
        ("What a system of record may tell", event.EnterpriseEvent),
        ("What people decide", event.DecisionEvent),
        ("What only Synchromesh itself tells", event.OwnEvent),
    ]
    for title, union in groups:
        yield f"## {title}\n"
        for struct in get_args(union):
            yield f"### `{struct.__struct_config__.tag}`\n\n{_flat(struct.__doc__)}\n"
            yield from _fields(struct)
    yield "## Parts of events\n"
    for part in (
        event.StockLine,
        event.Difference,
        event.Proposal,
        event.AlternativeUnit,
        event.Operation,
        event.Component,
        posting.Line,
        posting.Outcome,
        posting.Refusal,
    ):
        yield f"### {part.__name__}\n\n{_flat(part.__doc__)}\n"
        yield from _fields(part)
    yield "### Quantity\n"
    yield 'An exact amount in a unit: `{"amount": "12.5", "unit": "KGM"}`. At most 15 digits before and 9 after the point. The unit is a'
    yield "UN/CEFACT Recommendation 20 code, or an alternative unit of the item.\n"


def _fields(struct: type[msgspec.Struct]) -> Iterator[str]:
    said = field_docs(struct)
    yield "| field | kind | |\n|---|---|---|"
    for field in msgspec.structs.fields(struct):
        need = "required" if field.required else "optional"
        about = said.get(field.name, "")
        yield f"| `{field.encode_name}` | {_cell(_kind(field.type))} | {need}{'. ' + _cell(about) if about else ''} |"
    yield ""


def _categories() -> Iterator[str]:
    yield "# Fates, postings and refusals\n"
    yield "## Fates of a fact\n"
    yield _flat(inspect.getdoc(inspect.getmodule(Fate)) or "") + "\n"
    yield from _words(Fate)
    yield "## What a posting does\n"
    yield from _words(posting.PostingKind)
    yield "## What is known of a posting after it was sent\n"
    yield from _words(posting.Fate)
    yield f"## Why a business system refused\n\n{_flat(posting.Category.__doc__)}\n"
    yield from (f"- `{category.value}`" for category in posting.Category)
    yield ""


def _words(words: type[enum.Enum]) -> Iterator[str]:
    said = field_docs(words)
    yield "| word | meaning |\n|---|---|"
    for word in words:
        yield f"| `{word.value}` | {_cell(said.get(word.name, ''))} |"
    yield ""


def _signals() -> Iterator[str]:
    yield "# Signals\n"
    yield _flat(names.__doc__) + "\n"
    yield "## Metrics\n\nAt `/metrics`, in the text format of Prometheus. A figure that is not known yet is left out.\n"
    yield "| metric | kind | labels | meaning |\n|---|---|---|---|"
    for metric in names.METRICS:
        yield f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {_cell(metric.help)} |"
    yield "\n## Log lines\n\nOn stderr: a JSON object a line with `time`, `level`, `line` and these fields, or words on a terminal.\n"
    yield "| line | level | fields | meaning |\n|---|---|---|---|"
    for line in names.LINES:
        yield f"| `{line.name}` | {LEVELS[line.level]} | {', '.join(line.fields)} | {_cell(line.help)} |"
    yield ""


LEVELS = {20: "info", 30: "warning", 40: "error", 50: "critical"}


# --- from code to words --------------------------------------------------------------------------------------------------------


def field_docs(owner: type) -> dict[str, str]:
    """The text under each field of a class, and of those that it inherits from."""
    said: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.startswith("synchromesh"):
            said.update(_own_docs(base))
    return said


def _own_docs(owner: type) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(inspect.getsource(owner)).body
    assert isinstance(definition, ast.ClassDef)
    for node, after in zip(definition.body, definition.body[1:], strict=False):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield target.id, _flat(str(after.value.value))


def _kind(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return next((meta.description for meta in arguments[1:] if getattr(meta, "description", None)), _kind(arguments[0]))
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    if origin in (Union, types.UnionType):
        kinds = [_kind(one) for one in arguments if one is not type(None)]
        return " or ".join(kinds)
    if origin is dict:
        return "table"
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    return WORDS.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation)))


WORDS = {
    "str": "text",
    "int": "whole number",
    "bool": "true or false",
    "float": "number",
    "dict": "table",
    "Grade": "a grade",
    "datetime": "time with zone",
    "date": "date",
    "Path": "path",
    "ZoneInfo": "IANA time zone",
    "Policy": "table",
    "Reconcile": "table",
    "Decimal": "decimal",
    "Proposal": "a proposal",
    "Files": "table",
    "PostingKind": "a kind of posting",
    "Fate": "a fate of a posting",
    "Category": "a category",
}


def _default(field: msgspec.structs.FieldInfo) -> str:
    return "required" if field.required else _written(field.default)


def _written(value: object) -> str:
    """A default as the file would say it; nothing for a table or list that is empty."""
    match value:
        case bool():
            text = str(value).lower()
        case enum.Enum() | str():
            text = f'"{value}"'
        case Path():
            text = f'"{value.as_posix()}"'
        case int() | float():
            text = f"{value:_}" if value > 9_999 else str(value)
        case _:
            return ""
    return f"`{text}`"


def _flat(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
