"""Print a record of the benchmarks as a table for docs/: python -m tools.benchmark_table RECORD [ROW ...]"""

import json
import sys
from pathlib import Path

HEAD = "| benchmark | ours | peer | ratio | to reach | |\n|---|---|---|---|---|---|"


def amount(value: float | None, unit: str) -> str:
    """A median with its unit."""
    if value is None:
        return ""
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"
    return f"{value:.3f}"


def line(row: dict) -> str:
    """One row of a record."""
    target, unit = row["target"], row["unit"]
    if target is None:
        goal = ""
    elif target["of"] == "ratio":
        goal = f"{target['direction']} {target['value']:g}x"
    else:
        goal = f"{target['direction']} {amount(target['value'], unit)}"
    verdict = {None: "", True: "reached", False: "short"}[row["ok"]]
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    cells = row["name"], amount(row["ours"], unit), amount(row["peer"], unit), ratio, goal, verdict
    return f"| {' | '.join(cells)} |"


def table(record: Path, *names: str) -> str:
    """The table of a whole record, or of the rows of some names, in their order."""
    rows = json.loads(record.read_text())["rows"]
    by_name = {row["name"]: row for row in rows}
    return "\n".join([HEAD, *map(line, [by_name[name] for name in names] or rows)])


if __name__ == "__main__":
    print(table(Path(sys.argv[1]), *sys.argv[2:]))
