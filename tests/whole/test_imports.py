"""Imports run downwards only, as DESIGN draws the house."""

import ast
from pathlib import Path

import pytest
from tiny import REPOSITORY

FILES = sorted((REPOSITORY / "rws").rglob("*.py"))
HELPERS = {
    "rws.runtime.distributed",
    "rws.errors",
    "rws.runtime.seeding",
}  # they import nothing of rws themselves


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


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


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_the_walk_sees_imports():
    assert {"rws.runs.checkpoint", "rws.method.bank", "rws.look.cam_vis"} <= own("rws.cycle.steps")
    assert "torch" in imported(MODULES["rws.cycle.loop"]) | imported(MODULES["rws.train.training"])
    assert {"rws.core", "rws.data", "rws.models"} <= MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_what_is_imported_exists(name):
    assert own(name) <= MODULES.keys() | {"rws"}


@pytest.mark.parametrize("name", [m for m in MODULES if within(m, "rws.core")])
def test_core_imports_nothing_of_rws_outside_core(name):
    assert {m for m in own(name) if not within(m, "rws.core")} == set()


@pytest.mark.parametrize("package", ["rws.data", "rws.models"])
def test_data_and_models_stand_alone(package):
    for name in (m for m in MODULES if within(m, package)):
        outside = {m for m in own(name) if not within(m, package)}
        assert outside <= HELPERS, name


@pytest.mark.parametrize("name", sorted(HELPERS | {"rws.config"}))
def test_the_bottom_imports_nothing_of_rws(name):
    assert own(name) == set()


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
