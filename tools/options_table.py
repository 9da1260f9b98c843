"""Print the options of train.py as the table of the README.

    python tools/options_table.py

Made from the docstrings and defaults in rws/config.py; a test holds the README to it.
"""

import dataclasses

import yaml
from docstring_parser import parse

from rws.config import Config


def rows(cls: type, prefix: str = "") -> list[tuple[str, str, str]]:
    """(key, default, meaning) of every option of a configuration class, nested ones with their prefix."""
    meaning = {p.arg_name: " ".join(p.description.split()) for p in parse(cls.__doc__).params}
    out = []
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.default_factory):
            out += rows(field.default_factory, f"{prefix}{field.name}.")
        else:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            text = yaml.safe_dump(default, default_flow_style=True).replace("\n...", "").strip()
            out.append((f"{prefix}{field.name}", text, meaning[field.name]))
    return out


def table() -> str:
    """The whole table in Markdown."""
    lines = [f"| `{key}` | `{default}` | {meaning} |" for key, default, meaning in rows(Config)]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *lines])


if __name__ == "__main__":
    print(table())
