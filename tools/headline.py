"""Write experiments/headline.json and Figs/units.png from the records: python -m tools.headline

headline.json has, for each accounting and set, the seeds, the mIoU by seed of one plain pass, of RWS with its
mean units, and of each rival by name with its units. A unit is one forward pass at the size of the network's
input. An accounting that nobody has measured is not there.
"""

import json
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rws.runs.checkpoint import write_result

ROOT = Path(__file__).parents[1]
SETS = ("camvid", "cat", "dog", "cow", "animals")
OURS = ("rws_2", "rws_3", "rws_4")  # windows of 0.7 of the sides, as `rws predict --ways rws`
MOST_UNITS = 7  # drawn
# How rivals are drawn: a line through the ways whose names begin so.
FAMILIES = {
    "mirrored": ("flip", "ms_flip"),
    "enlarged, averaged in": ("with_",),
    "quarters": ("quarters",),
    "random windows": ("random_2", "random_3", "random_4"),
}


def read(name: str) -> dict | None:
    """The record of the ways to predict of a set, or nothing where it was not measured."""
    path = ROOT / "experiments" / f"fair_{name}" / "ways.json"
    return json.loads(path.read_text()) if path.is_file() else None


def entry(way: dict) -> dict:
    """A way to predict: its units, mIoU by seed, and difference to one plain pass."""
    return {"units": way["units"], "miou": way["miou"]["each"], "against_plain": way["against_plain"]}


def of_set(record: dict) -> dict:
    """What headline.json says of one set."""
    found = record["results"]
    rivals = [name for name in found if name != "plain" and not name.startswith(("rws", "oracle"))]
    ours = [name for name in OURS if name in found]
    return {
        "list": record["runs"][0]["list"],
        "images": len(record["runs"][0]["ids"]),
        "seeds": record["seeds"],
        "plain": found["plain"]["miou"]["each"],
        "rws": {name: entry(found[name]) for name in ours},
        "against_random": {n: found[n]["against_random"] for n in ours if "against_random" in found[n]},
        "rivals": {name: entry(found[name]) for name in rivals},
    }


def headline() -> dict:
    """The whole file."""
    records = {name: read(name) for name in SETS}
    return {"training_free": {name: of_set(record) for name, record in records.items() if record}}


def _points(ways: dict[str, dict], starts: tuple[str, ...]) -> list[tuple[float, float]]:
    chosen = [way for name, way in ways.items() if name.startswith(starts) and way["units"] <= MOST_UNITS]
    return sorted((way["units"], way["against_plain"]["mean"]) for way in chosen)


def figure(facts: dict) -> Figure:
    """Gain in mIoU over one plain pass against units, a panel for each set."""
    sets = facts["training_free"]
    drawn = Figure(figsize=(2.9 * len(sets), 3.2), dpi=110, layout="constrained")
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, (name, each) in zip(panels, sets.items()):
        axes.axhline(0, color="0.7", linewidth=1)
        for label, starts in FAMILIES.items():
            points = [(1.0, 0.0), *_points(each["rivals"], starts)]
            axes.plot(*zip(*points), marker="o", markersize=3, linewidth=1, label=label)
        points = [(1.0, 0.0), *_points(each["rws"], ("rws",))]
        axes.plot(*zip(*points), marker="s", markersize=5, linewidth=2.4, color="black", label="RWS")
        seeds = len(each["seeds"])
        axes.set_title(f"{name}: {each['images']} images, {seeds} seed{'s' if seeds > 1 else ''}", fontsize=9)
        axes.set_xlabel("forward passes", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("mIoU over one pass", fontsize=9)
    drawn.axes[0].legend(fontsize=7, frameon=False)
    return drawn


def main() -> int:
    """Write both files."""
    facts = headline()
    write_result(ROOT / "experiments" / "headline.json", facts)
    drawn = figure(facts)
    drawn.savefig(ROOT / "Figs" / "units.png", metadata={"Software": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
