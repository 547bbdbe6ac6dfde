"""The house of ARCHITECTURE.md is the house of the tree: its packages, their order, no circles, no product names in the core."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "synchromesh"

PRODUCTS = {
    "tryton": ("connectors/tryton/", "app/", "cli/"),
    "sandbox": ("connectors/sandbox/", "sim/", "app/", "cli/"),
    "postgres": ("postgres/", "log/", "state/", "app/", "cli/", "connectors/"),
    "jetstream": ("log/", "app/", "cli/"),
    "sqlite": ("sqlite/", "log/", "state/", "app/", "connectors/"),
}
"""Where the name of each plug-in may be said. `app/` wires; `cli/` names what a person can choose; simulations run on the
sandbox; what a connector keeps is its own affair."""


def floors() -> list[str]:
    """The packages in the order of ARCHITECTURE.md, the lowest first."""
    drawing = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("<!-- floors -->")[1].split("```")[1]
    return re.findall(r"^(\w+)/", drawing, re.MULTILINE)


def modules() -> dict[str, Path]:
    return {_name(path): path for path in sorted(SOURCE.rglob("*.py")) if "versions" not in path.parts}


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Modules of the product that a file names in its imports, with the line; also those inside functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.startswith("synchromesh"))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: say imports in full"
            if (node.module or "").startswith("synchromesh"):
                yield from ((node.lineno, _module(node.module or "", alias.name)) for alias in node.names)


def _module(package: str, name: str) -> str:
    return f"{package}.{name}" if f"{package}.{name}" in modules_known() else package


_known: set[str] = set()


def modules_known() -> set[str]:
    if not _known:
        _known.update(modules())
    return _known


def _floor(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_the_drawing_names_the_packages_of_the_tree() -> None:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert sorted(floors()) == sorted(packages)


def test_imports_go_only_up_the_list() -> None:
    order = {name: index for index, name in enumerate(floors())}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}, which stands below"
        for module, path in modules().items()
        for line, target in imports(path)
        if _floor(module) and order[_floor(target)] > order[_floor(module)]
    ]
    assert wrong == []


def test_agreements_do_not_know_their_implementations() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for path in SOURCE.glob("*/agreement.py")
        for line, target in imports(path)
        if target.startswith(f"synchromesh.{path.parent.name}.")
    ]
    assert wrong == []


def test_the_engine_knows_agreements_and_no_implementation() -> None:
    ports = ("log", "state", "edges", "connectors")
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for path in (SOURCE / "engine").rglob("*.py")
        for line, target in imports(path)
        if _floor(target) in ports and not target.endswith(".agreement")
    ]
    assert wrong == []


def test_no_module_stands_in_a_circle() -> None:
    graph = {module: {target for _, target in imports(path) if target != module} for module, path in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError("a circle of imports: " + " → ".join(error.args[1])) from None


def test_the_root_exports_nothing() -> None:
    body = ast.parse((SOURCE / "__init__.py").read_text("utf-8")).body
    assert [type(node) for node in body] == [ast.Expr], "only its docstring: whatever the root imports can close a circle"


def test_product_names_stay_in_their_own_folders() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} says {product}"
        for path in modules().values()
        for product, allowed in PRODUCTS.items()
        if not path.relative_to(SOURCE).as_posix().startswith(allowed) and product in path.read_text("utf-8").lower()
    ]
    assert wrong == []


def test_auditor_and_simulated_systems_know_nothing_of_what_they_judge() -> None:
    """The auditor's arithmetic is its own, and the system of record that it reads is not built from the code under test."""
    judged = ("mapping", "plant", "engine")
    # They run the system, or read its rows for the auditor.
    players = {
        "clerk",
        "deaths",
        "harness",
        "papers",
        "people",
        "processes",
        "profile",
        "witness",
    }
    sim = [path for path in (SOURCE / "sim").glob("*.py") if path.stem not in players]
    judges = [*(SOURCE / "connectors" / "sandbox").rglob("*.py"), *sim]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}" for path in judges for line, target in imports(path) if _floor(target) in judged
    ]
    assert wrong == []
