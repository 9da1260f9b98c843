"""Print the options of train.py as the tables of docs/options.md: python -m tools.options_table

Made from the docstrings and defaults in rws/config.py; tools.fill_tables writes them into the page.
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


def table(group: str) -> str:
    """The options of one group in Markdown under a heading; the group "" has those of the run itself."""
    held = [row for row in rows(Config) if row[0].rpartition(".")[0] == group]
    lines = [f"| `{key}` | `{default}` | {meaning} |" for key, default, meaning in held]
    return "\n".join([f"### {group or 'run'}\n", "| option | default | meaning |", "|---|---|---|", *lines])


if __name__ == "__main__":
    groups = dict.fromkeys(key.rpartition(".")[0] for key, _, _ in rows(Config))
    print("\n\n".join(map(table, groups)))
