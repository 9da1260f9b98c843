"""Imports run downwards only: a wing of rws imports what its row in docs/architecture.md says."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from tiny import REPOSITORY

FILES = sorted((REPOSITORY / "rws").rglob("*.py"))
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
# By wing the wings that it may import, as the page has them, from the bottom up.
MAY = {
    wing: set(re.findall(r"`(\w+)`", allowed))
    for wing, allowed in re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
}


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


@cache
def imported(path: Path) -> set[str]:
    """Every module that a file imports anywhere, also inside functions, by its full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            # `from rws import checkpoint` imports the module rws.runs.checkpoint
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {node.module}
    return found


def own(name: str) -> set[str]:
    return {m for m in imported(MODULES[name]) if m == "rws" or m.startswith("rws.")}


def wing_of(module: str) -> str:
    """The folder or file below rws that a module lies in; `rws` for the package itself."""
    return module.split(".")[1] if "." in module else module


def test_the_walk_sees_imports():
    assert {"rws.runs.checkpoint", "rws.method.bank"} <= own("rws.cycle.artifacts")
    assert "rws.method.select" in own("rws.wrapper.rws")
    assert "torch" in imported(MODULES["rws.training.training"])
    assert {"rws.core", "rws.data", "rws.models"} <= MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_what_is_imported_exists(name):
    assert own(name) <= MODULES.keys() | {"rws"}


def test_the_page_has_a_row_for_every_wing_and_lets_none_import_one_above_it():
    assert set(MAY) == {wing_of(name) for name in MODULES} - {"rws"}
    below: set[str] = set()
    for wing, allowed in MAY.items():
        assert allowed <= below, f"{wing} may import {allowed - below}, which stands above it"
        below.add(wing)


FORBIDDEN = [(wing, other) for wing in MAY for other in (*MAY, "rws") if other not in {wing, *MAY[wing]}]


@pytest.mark.parametrize(("wing", "other"), FORBIDDEN)
def test_a_wing_does_not_import(wing, other):
    of_wing = [name for name in MODULES if wing_of(name) == wing]
    assert [(name, m) for name in of_wing for m in own(name) if wing_of(m) == other] == []


def test_the_core_imports_torch_and_nothing_else_that_is_installed():
    allowed = {"torch", "rws", *sys.stdlib_module_names}
    core = [path for name, path in MODULES.items() if wing_of(name) == "core"]
    assert {m.split(".")[0] for path in core for m in imported(path)} <= allowed


def test_the_face_gives_out_the_functions_the_wrapper_and_the_error_alone():
    assert {wing_of(m) for m in own("rws")} == {"api", "evaluate", "wrapper", "errors"}


@pytest.mark.parametrize("name", MODULES)
def test_nothing_imports_the_scripts_or_the_tests(name):
    outer = {p.stem for p in REPOSITORY.glob("*.py")} | {"tests", "tools", "benchmarks", "experiments"}
    assert {m.split(".")[0] for m in imported(MODULES[name])} & outer == set()


def test_imports_form_no_circle():
    seen: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"circle: {' -> '.join((*trail, name))}"
        if name not in seen:
            for below in own(name) & MODULES.keys() - {name, "rws"}:
                visit(below, (*trail, name))
            seen.add(name)

    for name in MODULES:
        visit(name, ())
