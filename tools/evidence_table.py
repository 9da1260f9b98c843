"""Print the README's tables of experiments from their records: python -m tools.evidence_table

The first has the trainings, the second what predictions of their networks gain at test time.
"""

import json
import statistics
from pathlib import Path

from rws.compare.tables import interval, mean_and_deviation, table

RECORDS = ("camvid", "voc_cat", "voc_dog", "voc_cow", "voc_animals")
ARMS = ("slices", "aimed", "random", "rws")
AT_TEST = ("camvid", "voc_cat", "voc_cow", "voc_animals")


def row(name: str, found: dict) -> list[str]:
    """One experiment: what plain training reaches, and what the other arms differ from it."""
    budget = found["budget"][str(found["seeds"][0])]["plain"]
    plain = found["differences"]["plain"]
    cells = [interval(plain[arm]["miou"]) if arm in plain else "-" for arm in ARMS]
    seeds = len(found["seeds"])
    record = f"[{name}](experiments/{name}/table.md)"
    against_slices = interval(found["differences"]["slices"]["rws"]["miou"])
    return [
        record,
        found["list"],
        f"{budget:,} x {seeds}",
        mean_and_deviation(found["arms"]["plain"]["miou"]),
        *cells,
        against_slices,
        f"{since_before(found):+.2f}",
    ]


def since_before(found: dict) -> float:
    """Mean gain of rws on the validation list since the training before RWS: more training, and RWS."""
    last = found["course"][-1]["rws"]
    return statistics.fmean(a - b for a, b in zip(last, found["arms"]["rws"]["first_training_miou"]))


def mean_row(records: list[dict]) -> list[str]:
    """Means over the experiments that have the arm."""

    def mean(to: str, arm: str) -> str:
        differences = [found["differences"][to] for found in records]
        means = [d[arm]["miou"]["mean"] for d in differences if arm in d]
        return f"{statistics.fmean(means):+.2f}" if means else "-"

    gains = f"{statistics.fmean(map(since_before, records)):+.2f}"
    return ["mean", "", "", "", *(mean("plain", arm) for arm in ARMS), mean("slices", "rws"), gains]


def at_test_time(name: str, found: dict) -> list[list[str]]:
    """One record of rws.compare.at_test_time: plain, and aimed if it has it, in every way against plain."""
    aimed = found["results"].get("aimed")
    rows = []
    for way, plain in found["results"]["plain"].items():
        record = f"[{name}](experiments/{name}/refine.md)"
        score = mean_and_deviation(plain["miou"])
        gain = "-" if way == "plain" else interval(plain["against_plain"])
        cells = [interval(aimed[way][to]) if aimed else "-" for to in ("against_plain", "against_plain_so")]
        rows.append([record, way, f"{plain['passes']:.0f}", score, gain, *cells])
    return rows


def main() -> None:
    """Print the tables of all records that are there."""
    folder = Path(__file__).parents[1] / "experiments"
    paths = {name: folder / name / "results.json" for name in RECORDS}
    found = {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}
    head = ["record", "list", "images x seeds", "plain mIoU"]
    head += [f"{arm} - plain" for arm in ARMS] + ["rws - slices", "rws - before"]
    print(table(head, [*(row(name, each) for name, each in found.items()), mean_row(list(found.values()))]))
    paths = {name: folder / name / "refine.json" for name in AT_TEST}
    head = ["record", "prediction", "passes", "plain", "plain - plain alone"]
    head += ["aimed - plain alone", "aimed - plain, same prediction"]
    read = {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}
    rows = [row for name, each in read.items() for row in at_test_time(name, each)]
    print("\n" + table(head, rows))


if __name__ == "__main__":
    main()
