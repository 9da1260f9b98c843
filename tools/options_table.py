"""Print the options of `rws train` as the tables of docs/options.md: python -m tools.options_table

Made from what each option says of itself in rws/config; tools.fill_tables writes them into the page.
"""

from rws.cli import default_text
from rws.config import OPTIONS


def row(key: str) -> str:
    """An option with its default and its meaning; the name of a basic one is bold."""
    known = OPTIONS[key].metadata
    name = f"**`{key}`**" if known["level"] == "basic" else f"`{key}`"
    return f"| {name} | `{default_text(key)}` | {known['meaning']} |"


def table(group: str) -> str:
    """The options of one group in Markdown under a heading; the group "" has those of the run itself."""
    held = [row(key) for key in OPTIONS if key.rpartition(".")[0] == group]
    return "\n".join([f"### {group or 'run'}\n", "| option | default | meaning |", "|---|---|---|", *held])


if __name__ == "__main__":
    groups = dict.fromkeys(key.rpartition(".")[0] for key in OPTIONS)
    print("\n\n".join(map(table, groups)))
