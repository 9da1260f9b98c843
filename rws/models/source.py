"""The code of a user's own network: its module, and what that imports of the modules beside it."""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


def source_digests(module_name: str) -> dict[str, str]:
    """The digest of the file of each of these modules, by the module's name.

    `module_name` must have been imported. A module counts as beside it where its file lies in the folder
    that the module was found in, or below; installed packages and this one do not.
    """
    first = sys.modules.get(module_name)
    path = _file(first)
    if path is None:
        return {}
    depth = module_name.count(".") + (path.name == "__init__.py")
    root, found, queue = path.parents[depth], {}, [module_name]
    while queue:
        name = queue.pop()
        path = _file(sys.modules.get(name))
        if name in found or path is None or not _is_beside(path, root):
            continue
        content = path.read_bytes()
        found[name] = hashlib.blake2b(content, digest_size=16).hexdigest()
        queue += [name.rpartition(".")[0], *_imported(content, sys.modules[name])]
    return dict(sorted(found.items()))


def _file(module: ModuleType | None) -> Path | None:
    """The Python file of a module; None where it has none."""
    name = getattr(module, "__file__", None)
    path = Path(name).resolve() if name else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _is_beside(path: Path, root: Path) -> bool:
    own = Path(__file__).resolve().parents[1]
    return path.is_relative_to(root) and not path.is_relative_to(own) and "site-packages" not in path.parts


def _imported(content: bytes, module: ModuleType) -> Iterator[str]:
    """The names of the modules that a module's source imports anywhere, among others that are none."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # changed since it was imported
        return
    package = module.__package__ or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            name = importlib.util.resolve_name(relative, package) if node.level else relative
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)
