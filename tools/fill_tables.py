"""Write the generated tables of README.md and docs/ anew: python -m tools.fill_tables

A page holds a table between two comments, the first of which names the command that prints it:

    <!-- made by `python -m tools.options_table` -->
    <!-- end -->

A test holds every page to this.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- made by `python (-m tools\.[^`]+)` -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """README.md and the pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def printed(command: str) -> str:
    """What a command of this folder prints."""
    words = [sys.executable, *command.split()]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def filled(page: Path) -> str:
    """The text of a page with its tables made anew; their links lead from the page's own folder."""
    up = "../" * len(page.relative_to(ROOT).parent.parts)

    def made(block: re.Match) -> str:
        table = re.sub(r"\]\((?!http)", f"]({up}", printed(block[2]))
        return f"{block[1]}{table}\n{block[3]}"

    return BLOCK.sub(made, page.read_text(encoding="utf-8"))


def main() -> None:
    """Fill the tables of all pages."""
    for page in pages():
        page.write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    main()
