"""Write experiments/headline.json and Figs/units.png from the records: python -m tools.headline

headline.json has, for each accounting and set, the seeds, the mIoU by seed of one plain pass, of RWS with its
mean units, and of each rival by name with its units. A unit is one forward pass at the size of the network's
input. An accounting that nobody has measured is not there:

training_free    finished networks look again, nothing is retrained
training_free_long  the same with networks that were trained about three times as long
more_passes      training_free with up to six passes; of cat, dog and cow with fewer networks
three_passes     equal training budget, three passes at test: no way to train has beaten plain, and looking
                 again takes nothing of the budget, so these are plain networks that look again
one_pass         equal training budget, one pass at test: the published fusion
one_pass_fair    the same with the network and the one falling learning rate of training_free
one_pass_slices  as one_pass_fair: weak slices as further training images, without fusion; with more seeds
equal_schedule   the paper's: as many epochs fused as plain, the trainings between them uncounted
quarter_labels   a quarter of the labels, the other photographs without; one pass
"""

import json
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from rws.compare.intervals import difference
from rws.runs.checkpoint import write_result

ROOT = Path(__file__).parents[1]
SETS = ("camvid", "cat", "dog", "cow", "animals")
OURS = ("rws_2", "rws_3", "rws_4", "rws_6")  # as `rws predict --ways rws`, but as many passes for each image
MOST_UNITS = 7  # drawn
MOST_OF_RIVALS = 4  # units of the rivals of three passes
FEWER = "seed_0"  # the folder of a record of more ways, and fewer networks
PASSES = "passes"  # that of a record of up to six passes, where the set's own ends at three
TRAINED = {name: name if name == "camvid" else f"voc_{name}" for name in SETS}
FUSED = "rws", ("slices", "random")  # ours, and controls
QUARTER = "teacher_3", ("teacher_1", "annealed")  # ours, and the same without slices
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# How rivals are drawn: a line through the ways whose names begin so.
FAMILIES = {
    "mirrored": ("flip", "ms_flip"),
    "enlarged, averaged in": ("with_",),
    "enlarged, believed where unsure": ("weighed_",),
    "quarters": ("quarters",),
    "random windows": ("random_",),
}


def read(name: str, file: str = "ways.json") -> dict | None:
    """A file of a record, or nothing where it was not measured."""
    path = ROOT / "experiments" / name / file
    return json.loads(path.read_text()) if path.is_file() else None


def entry(way: dict, seeds: list[int]) -> dict:
    """A way to predict: the seeds of its networks, its units, mIoU by seed, difference to one plain pass."""
    scores = {"miou": way["miou"]["each"], "against_plain": way["against_plain"]}
    return {"seeds": seeds, "units": way["units"]} | scores


def rivals_of(record: dict) -> dict[str, dict]:
    """What is neither plain nor a form of ours."""
    found = record["results"]
    names = [name for name in found if name != "plain" and not name.startswith(("rws", "oracle"))]
    return {name: entry(found[name], record["seeds"]) for name in names}


def _of_the_same_networks(fewer: dict, record: dict) -> bool:
    """Whether the networks of a record of more ways are among those of another."""
    known = dict(zip(record["seeds"], record["results"]["plain"]["miou"]["each"]))
    scores = fewer["results"]["plain"]["miou"]["each"]
    return all(known.get(seed) == score for seed, score in zip(fewer["seeds"], scores))


def looked_again(name: str, record: dict) -> dict:
    """What the accounting training_free says of one set; some rivals were measured on fewer networks."""
    found = record["results"]
    fewer = read(f"fair_{name}/{FEWER}")
    fewer = fewer if fewer and _of_the_same_networks(fewer, record) else None
    ours = [name for name in OURS if name in found]
    return {
        "list": record["runs"][0]["list"],
        "images": len(record["runs"][0]["ids"]),
        "seeds": record["seeds"],
        "plain": found["plain"]["miou"]["each"],
        "rws": {name: entry(found[name], record["seeds"]) for name in ours},
        "against_random": {n: found[n]["against_random"] for n in ours if "against_random" in found[n]},
        "rivals": (rivals_of(fewer) if fewer else {}) | rivals_of(record),
    }


def in_three_passes(facts: dict) -> dict:
    """What the accounting three_passes says of a set: of training_free, what costs at most four units.

    Without rws_3 nothing of ours is there.
    """
    cheap = {name: each for name, each in facts["rivals"].items() if each["units"] <= MOST_OF_RIVALS}
    rest = {key: facts[key] for key in ("list", "images", "seeds", "plain")}
    ours = {name: each for name, each in facts["rws"].items() if name == "rws_3"}
    return rest | {"rws": ours, "rivals": cheap}


def trained(record: dict, ours: str, rivals: tuple[str, ...]) -> dict:
    """What an accounting in which networks are trained otherwise says of a set, from results.json."""
    arms, differences = record["arms"], record["differences"]["plain"]

    def of(arm: str) -> dict:
        return entry(
            {"units": 1, "miou": arms[arm]["miou"], "against_plain": differences[arm]["miou"]}, seeds
        )

    seeds = record["seeds"]
    return {
        "list": record["list"],
        "images": record["images_in_list"],
        "seeds": seeds,
        "plain": arms["plain"]["miou"]["each"],
        "rws": {ours: of(ours)} if ours in arms else {},
        "rivals": {arm: of(arm) for arm in rivals if arm in arms},
    }


def on_slices(records: list[dict]) -> dict:
    """What the accounting one_pass_slices says of a set.

    Each record has some of the seeds; a seed that several have was trained on several kinds of machine, which
    gives other networks.
    """
    seeds = [seed for record in records for seed in record["seeds"]]
    plain, ours = (
        [score for record in records for score in record["arms"][arm]["miou"]["each"]]
        for arm in ("plain", "slices")
    )
    found = {"units": 1, "miou": {"each": ours}, "against_plain": difference(ours, plain)}
    rest = {"list": records[0]["list"], "images": records[0]["images_in_list"], "seeds": seeds}
    return rest | {"plain": plain, "rws": {"slices": entry(found, seeds)}, "rivals": {}}


def scheduled(record: dict) -> dict:
    """What the accounting equal_schedule says of a set: means over the epochs of the released table."""
    found, seeds = record["results"], record["seeds"]

    def of(arm: str) -> dict:
        scores = {"miou": found["arms"][arm]["mean"], "against_plain": found["differences"][arm]["mean"]}
        by_epoch = [each["mean"] for row, each in found["differences"][arm].items() if row != "mean"]
        return entry({"units": 1, **scores}, seeds) | {"by_epoch": by_epoch}

    return {
        "list": record["list"],
        "images": record["images_in_list"],
        "seeds": seeds,
        "plain": found["plain"]["mean"]["each"],
        "rws": {"rws": of("rws")},
        "rivals": {arm: of(arm) for arm in found["arms"] if arm != "rws"},
        "uncounted_images": found["uncounted"],
    }


def headline() -> dict:
    """The whole file."""
    again = {name: looked_again(name, found) for name in SETS if (found := read(f"fair_{name}"))}
    more = {name: looked_again(name, read(f"fair_{name}/{PASSES}") or read(f"fair_{name}")) for name in again}
    long = {name: looked_again(name, found) for name in SETS if (found := read(f"fair_{name}_long"))}
    one = {name: found for name in SETS if (found := read(TRAINED[name], "results.json"))}
    fair = {name: found for name in SETS if (found := read(f"fair_{name}_arms", "results.json"))}
    more_seeds = {name: read(f"fair_{name}_arms/slices", "results.json") for name in fair}
    schedule = read("equal_schedule", "schedule.json")
    quarter = {name: found for name in SETS if (found := read(f"quarter_{name}", "results.json"))}
    accountings = {
        "training_free": again,
        "training_free_long": long,
        "more_passes": more,
        "three_passes": {name: in_three_passes(each) for name, each in again.items()},
        "one_pass": {name: trained(each, *FUSED) for name, each in one.items()},
        "one_pass_fair": {name: trained(each, *FUSED) for name, each in fair.items()},
        "one_pass_slices": {
            name: on_slices([each for each in (first, more_seeds[name]) if each])
            for name, first in fair.items()
        },
        "equal_schedule": {"cow": scheduled(schedule)} if schedule else {},
        "quarter_labels": {name: trained(each, *QUARTER) for name, each in quarter.items()},
    }
    return {name: each for name, each in accountings.items() if each}


def _points(ways: dict[str, dict], starts: tuple[str, ...]) -> list[tuple[float, float, int]]:
    """Units, gain and number of networks of the ways whose names begin so, by their units."""
    chosen = [way for name, way in ways.items() if name.startswith(starts) and way["units"] <= MOST_UNITS]
    return sorted((way["units"], way["against_plain"]["mean"], len(way["seeds"])) for way in chosen)


def _draw(
    axes: Axes, points: list[tuple[float, float, int]], seeds: int, size: float, **line: object
) -> Line2D:
    """A line from one plain pass through points; those of fewer networks than `seeds` are hollow."""
    units, gains = zip((1.0, 0.0), *(point[:2] for point in points))
    (drawn,) = axes.plot(units, gains, **line)
    for unit, gain, networks in points:
        fill = "white" if networks < seeds else drawn.get_color()
        axes.plot(unit, gain, line.get("marker", "o"), markersize=size, color=drawn.get_color(), mfc=fill)
    return drawn


def said_of_hollow(facts: dict, ways: dict) -> str | None:
    """What the legend says of points of fewer networks than their panel's; None where there are none."""
    numbers = {
        len(way["seeds"])
        for name, each in facts.items()
        for kind in ways[name].values()
        for way in kind.values()
        if len(way["seeds"]) < len(each["seeds"])
    }
    if not numbers:
        return None
    span = " to ".join(
        NUMBERS[n] if n < len(NUMBERS) else str(n) for n in sorted({min(numbers), max(numbers)})
    )
    return f"hollow: with {span} network{'s' if max(numbers) > 1 else ''}"


def figure(facts: dict) -> Figure:
    """Gain in mIoU over one plain pass against units, a panel for each set; hollow: with fewer networks."""
    sets, kinds = facts["training_free"], ("rivals", "rws")
    ways = {name: {k: facts["more_passes"][name][k] | sets[name][k] for k in kinds} for name in sets}
    drawn = Figure(figsize=(2.9 * len(sets), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(1, len(sets), sharex=True, sharey=True, squeeze=False)[0]
    lines: dict[str, Line2D] = {}
    for axes, (name, each) in zip(panels, sets.items()):
        axes.axhline(0, color="0.7", linewidth=1)
        seeds = len(each["seeds"])
        for number, (label, starts) in enumerate(FAMILIES.items()):
            if found := _points(ways[name]["rivals"], starts):
                lines[label] = _draw(axes, found, seeds, 4, linewidth=1, color=f"C{number}")
        points = _points(ways[name]["rws"], ("rws",))
        lines["RWS"] = _draw(axes, points, seeds, 5, marker="s", linewidth=2.4, color="black")
        axes.set_title(f"{name}: {each['images']} images, {seeds} seed{'s' if seeds > 1 else ''}", fontsize=9)
        axes.set_xlabel("forward passes", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("mIoU over one pass", fontsize=9)
    panels[0].xaxis.set_major_locator(MultipleLocator(1))
    title = said_of_hollow(sets, ways)
    place = {"loc": "outside lower center", "ncols": len(lines), "fontsize": 8, "title_fontsize": 8}
    drawn.legend(lines.values(), lines.keys(), frameon=False, title=title, **place)
    return drawn


def main() -> int:
    """Write both files; no figure where training_free is not there."""
    facts = headline()
    write_result(ROOT / "experiments" / "headline.json", facts)
    if "training_free" in facts:
        figure(facts).savefig(ROOT / "Figs" / "units.png", metadata={"Software": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
