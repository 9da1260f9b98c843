"""Reads YAML as text: a value means what its option takes, never what YAML itself makes of it.

To YAML, `on` is true, `12:30` is 750 and `0123` is 83; for a name they are themselves. What a value is in a
file is what it would be on the command line. Only an unquoted null, ~ or nothing is None.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from rws.errors import UserError

MOST_VALUES = 10_000  # in a file, with each alias as what it stands for
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class TextLoader(yaml.SafeLoader):
    """Scalars are text or None; the merge key << is YAML's own."""


TextLoader.yaml_implicit_resolvers = {}
# Tags written out make other things (dates, sets, bytes), or end in an error of any kind where they cannot.
TextLoader.yaml_constructors = {
    tag: TextLoader.yaml_constructors[tag]
    for tag in (None, *(f"tag:yaml.org,2002:{kind}" for kind in ("null", "str", "seq", "map")))
}
TextLoader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
TextLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])


def read_tree(path: Path) -> dict[Any, Any]:
    """The keys and values of a file; values are text, None, lists or dictionaries.

    Raises: UserError for what is no YAML, holds a key twice, or holds itself.
    """
    try:
        loader = TextLoader(path.read_text(encoding="utf-8-sig"))
        loader.name = path.name  # as errors call it
        node = loader.get_single_node()
        if node is None:
            return {}
        refuse_twice(path, node)
        tree = loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no UTF-8 is a ValueError, too
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds a {KINDS.get(type(tree), 'value')}, needed are keys and values")
    return tree


def refuse_twice(path: Path, node: yaml.Node | None) -> None:
    """Raises: UserError for a file that holds a key twice, itself, or more than MOST_VALUES."""
    if node is not None:
        _Walk(path).look(node)


KINDS = {list: "list", str: "text"}


def read_value(text: str) -> object:
    """A value of the command line: text, or a list where it stands in brackets, or None for null.

    Raises: yaml.YAMLError for brackets that do not fit.
    """
    if text.lstrip().startswith("["):
        return yaml.load(text, TextLoader)
    return None if text and _NULL.match(text) else text


class _Walk:
    """Goes through the nodes of a file before anything is made of them."""

    def __init__(self, path: Path):
        self._path = path
        self._lines: dict[str, int] = {}  # of every dotted key
        self._values: dict[int, int | None] = {}  # in each node, by its id; None while it is looked at

    def look(self, node: yaml.Node, prefix: str = "") -> int:
        """The number of values in a node. Raises: UserError."""
        if id(node) in self._values:
            count = self._values[id(node)]
            if count is None:
                raise UserError(f"{self._path}: holds itself; write the values instead of an alias")
            return count
        self._values[id(node)] = None
        count = 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                count += self.look(value, self._named(key, prefix) + ".")
        elif isinstance(node, yaml.SequenceNode):
            count += sum(self.look(item, f"{prefix}{k}.") for k, item in enumerate(node.value))
        if count > MOST_VALUES:
            raise UserError(
                f"{self._path}: holds more than {MOST_VALUES:,} values, counting what its aliases stand for"
            )
        self._values[id(node)] = count
        return count

    def _named(self, key: yaml.Node, prefix: str) -> str:
        """The dotted name of a key. Raises: UserError where it has been seen."""
        name, line = (
            f"{prefix}{key.value if isinstance(key, yaml.ScalarNode) else ''}",
            key.start_mark.line + 1,
        )
        if name in self._lines:
            raise UserError(
                f"{self._path}: the key {name!r} is there twice, in lines {self._lines[name]} and {line}; "
                "put both into one"
            )
        self._lines[name] = line
        return name
