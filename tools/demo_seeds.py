"""The demo over several seeds: keep what its runs measured, and print it as a table.

    python -m tools.demo_seeds runs/demo_0 runs/demo_1 ...    writes experiments/demo/seeds.json
    python -m tools.demo_seeds                                prints the table

A run of another seed is `rws train --config demo --name demo_1 --seed 1`. Each leaves looked_again.json.
"""

import json
import sys
from pathlib import Path

from rws.compare.intervals import difference, spread
from rws.compare.tables import interval, mean_and_deviation, table
from rws.evaluate.passes import RIVAL
from rws.report.again import FILE

RECORD = Path(__file__).parents[1] / "experiments" / "demo" / "seeds.json"
WAYS = {
    "plain": "plain, one pass",
    "rws": "published fusion, one pass",
    "rws_2": "plain looked again, 2 passes",
    "rws_3": "plain looked again, 3 passes",
    "rws_4": "plain looked again, 4 passes",
    RIVAL: "plain, 1.5 times its size averaged in",
}


def collected(folders: list[Path]) -> dict:
    """What runs of the demo measured, run by run."""
    found: dict = {"seeds": [], "commits": [], "images": 0, "units": {}, "miou": {}}
    for folder in folders:
        measured = json.loads((folder / FILE).read_text())
        found["seeds"].append(json.loads((folder / "summary.json").read_text())["seed"])
        found["commits"].append(json.loads((folder / "env.json").read_text())["commit"])
        found["images"] = len(measured["images"])
        ways = {point["way"]: (point["units"], point["miou"]) for point in measured["points"]}
        ways["rws"] = 1.0, measured["one_pass"]["rws"]
        for name, (units, miou) in ways.items():
            found["units"].setdefault(name, []).append(units)
            found["miou"].setdefault(name, []).append(miou)
    return found


def printed(found: dict) -> str:
    """mIoU over the seeds, and the gains over plain seed by seed, with Student's t interval."""
    plain, rows = found["miou"]["plain"], []
    for name, said in WAYS.items():
        miou = found["miou"][name]
        gains = difference(miou, plain)
        each = " ".join(f"{gain:+.2f}" for gain in gains["each"])
        gain = ["-", "-"] if name == "plain" else [interval(gains), each]
        rows.append(
            [said, f"{sum(found['units'][name]) / len(miou):.2f}", mean_and_deviation(spread(miou)), *gain]
        )
    return table(["demo", "passes", "mIoU", "gain over plain", "seed by seed"], rows)


if __name__ == "__main__":
    if runs := [Path(name) for name in sys.argv[1:]]:
        RECORD.write_text(json.dumps(collected(runs), indent=1) + "\n")
    print(printed(json.loads(RECORD.read_text())))
