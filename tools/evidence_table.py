"""Print a table of experiments from their records: python -m tools.evidence_table TABLE

trained: what the arms differ from plain training. fair-arms: the same on fair ground.
at-test-time: what other ways of prediction gain.
again: what looking again gains, from headline.json, as the README shows it.
ahead: three passes against the best rival of each set; equal-units: also against rivals of just three units.
long: the same with networks that were trained about three times as long; levels: both side by side.
pasted: objects pasted into training images (`data.copy_paste`), in one pass and in three.
slices: weak slices as further training images on fair ground; slices-again: these networks in three passes.
passes: what three, four and six passes gain, beside the best rivals.
more-passes: the gains of the networks of seed 0, up to six passes, beside rivals of as many units.
losses, own-images: losses and class weights on CamVid; augmentation with thirty images.
quarter, quarter-camvid: photographs without labels beside a quarter of the labels.
films: ways to predict films.
schedule: the paper's own accounting, epoch by epoch, beside the released row.
`python -m tools.fill_tables` writes them into the pages.
"""

import json
import statistics
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from rws.compare.intervals import difference, spread
from rws.compare.tables import interval, mean_and_deviation, table

FOLDER = Path(__file__).parents[1] / "experiments"
RECORDS = ("camvid", "voc_cat", "voc_dog", "voc_cow", "voc_animals")
ARMS = ("slices", "aimed", "random", "rws")
FAIR = ("camvid", "cat", "dog", "cow", "animals")
AT_TEST = ("camvid", "voc_cat", "voc_cow", "voc_animals")

# Difference in mIoU after each of 15 epochs. Source: the README of the authors' repository.
RELEASED = (4.2, 5.8, 9.7, -1.3, 7.2, 5.0, 4.4, 9.1, 6.3, 8.8, 2.9, 8.6, -1.1, 3.6, -2.6)

RARE = ("pole", "sign", "fence", "pedestrian", "bicyclist")
# What the arms of a table are called on its page, where that is not their name.
ARM_NAMES = {
    ("own_images", "plain"): "`light`",
    ("camvid_losses", "plain"): "`cross_entropy`",
    ("camvid_losses", "median_weights"): "`cross_entropy`, `class_weights median`",
    ("camvid_losses", "with_dice"): "`cross_entropy+dice`",
    ("camvid_losses", "with_lovasz"): "`cross_entropy+lovasz`",
    ("quarter", "plain"): "`plain`: as many steps more on the labels alone",
    ("quarter", "teacher_1"): "`teacher_1`: half of each batch photographs that one pass taught",
    ("quarter", "teacher_3"): "`teacher_3`: the same, taught by three passes",
    ("quarter", "annealed"): "`annealed`: all steps on the labels in one training",
    ("quarter", "strong"): "`strong`: as `plain`, the photographs with labels changed as strongly",
}
FILM_WAYS = {
    "plain": "one pass",
    "flip": "`--ways flip`",
    "before_2": "`--ways rws --passes 2`, by the frame before",
    "same_2": "the same, by the same frame",
    "before_3": "`--ways rws --passes 3`, by the frame before",
    "same_3": "the same, by the same frame",
}


def read(names: tuple[str, ...], file: str) -> dict[str, dict]:
    """The records of experiments that are there."""
    paths = {name: FOLDER / name / file for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def plain(name: str, found: dict) -> list[str]:
    """One experiment: its record, its images and seeds, and what plain training reaches."""
    images = found["budget"][str(found["seeds"][0])]["plain"]
    score = mean_and_deviation(found["arms"]["plain"]["miou"])
    return [f"[{name}](experiments/{name}/table.md)", f"{images:,} x {len(found['seeds'])}", score]


def differences(found: dict, arms: tuple[str, ...], to: str = "plain") -> list[str]:
    """What arms of an experiment differ from another, with intervals; - for those that it lacks."""
    known = found["differences"][to]
    return [interval(known[arm]["miou"]) if arm in known else "-" for arm in arms]


def since_before(found: dict) -> float:
    """Mean gain of rws on the validation list since the training before RWS: more training, and RWS."""
    last = found["course"][-1]["rws"]
    return statistics.fmean(a - b for a, b in zip(last, found["arms"]["rws"]["first_training_miou"]))


def means(records: list[dict], arms: tuple[str, ...], to: str = "plain") -> list[str]:
    """Means of these differences over the experiments that have the arm."""
    known = [found["differences"][to] for found in records]
    each = [[d[arm]["miou"]["mean"] for d in known if arm in d] for arm in arms]
    return [f"{statistics.fmean(values):+.2f}" if values else "-" for values in each]


def ways(name: str, found: dict) -> list[list[str]]:
    """One record of rws.compare.at_test_time: plain, and aimed if it has it, in every way against plain."""
    aimed = found["results"].get("aimed")
    rows = []
    for way, alone in found["results"]["plain"].items():
        record = f"[{name}](experiments/{name}/refine.md)"
        score = mean_and_deviation(alone["miou"])
        gain = "-" if way == "plain" else interval(alone["against_plain"])
        cells = [interval(aimed[way][to]) if aimed else "-" for to in ("against_plain", "against_plain_so")]
        rows.append([record, way, f"{alone['passes']:.0f}", score, gain, *cells])
    return rows


def trained() -> str:
    """What the arms of every experiment differ from plain training."""
    found = read(RECORDS, "results.json")
    head = ["record", "list", "images x seeds", "plain mIoU", *(f"{arm} - plain" for arm in ARMS)]
    rows = []
    for name, each in found.items():
        record, *score = plain(name, each)
        last = [*differences(each, ("rws",), "slices"), f"{since_before(each):+.2f}"]
        rows.append([record, each["list"], *score, *differences(each, ARMS), *last])
    records = list(found.values())
    gain = statistics.fmean(map(since_before, records))
    last = [*means(records, ARMS), *means(records, ("rws",), "slices"), f"{gain:+.2f}"]
    return table([*head, "rws - slices", "rws - before"], [*rows, ["mean", "", "", "", *last]])


def fair_arms() -> str:
    """What the arms differ from plain training on fair ground."""
    arms = ("slices", "random", "rws")
    found = read(tuple(f"fair_{name}_arms" for name in FAIR), "results.json")
    rows = [[*plain(name, each), *differences(each, arms)] for name, each in found.items()]
    rows.append(["mean", "", "", *means(list(found.values()), arms)])
    return table(["record", "images x seeds", "plain mIoU", *(f"{arm} - plain" for arm in arms)], rows)


def slices() -> str:
    """Weak slices as further training images, without fusion, on fair ground."""
    rows, gains = [], []
    for name, each in json.loads((FOLDER / "headline.json").read_text())["one_pass_slices"].items():
        gain = each["rws"]["slices"]["against_plain"]
        by_seed = " ".join(f"{value:+.2f}" for value in gain["each"])
        folders = (f"fair_{name}_arms", f"fair_{name}_arms/slices")
        links = [
            f"[{word}](experiments/{folder}/table.md)"
            for word, folder in zip((name, "more seeds"), folders)
            if (FOLDER / folder / "table.md").is_file()
        ]
        score = mean_and_deviation(spread(each["plain"]))
        rows.append(
            [", ".join(links), f"{each['images']} x {len(each['seeds'])}", score, by_seed, interval(gain)]
        )
        gains.append(gain["mean"])
    head = ["record", "images x seeds", "plain mIoU", "slices - plain, seed by seed", "mean"]
    return table(head, [*rows, ["mean", "", "", "", f"{statistics.fmean(gains):+.2f}"]])


def at_test_time() -> str:
    """What other ways of prediction gain over the plain network's single pass."""
    head = ["record", "prediction", "passes", "plain", "plain - plain alone"]
    head += ["aimed - plain alone", "aimed - plain, same prediction"]
    return table(
        head, [row for name, each in read(AT_TEST, "refine.json").items() for row in ways(name, each)]
    )


def _best(each: dict, most: float) -> tuple[str, dict]:
    """The rival of at most so many units that gains most; random windows stand apart."""
    rivals = {name: way for name, way in each["rivals"].items() if not name.startswith("random")}
    cheap = [name for name in rivals if rivals[name]["units"] <= most]
    best = max(cheap, key=lambda name: rivals[name]["against_plain"]["mean"])
    return best, rivals[best]


def again(accounting: str = "training_free", folder: str = "fair_{}") -> str:
    """What looking again gains, beside the best rivals of as many units."""
    sets = json.loads((FOLDER / "headline.json").read_text())[accounting]
    head = ["set", "images x seeds", "one pass", "RWS, 2 passes", "best rival, at most 2.6", "RWS, 3 passes"]
    head += ["best rival, at most 3.3", "RWS - random windows, 3"]
    rows, gains = [], []
    for name, each in sets.items():
        (two, of_two), (three, of_three) = _best(each, 2.6), _best(each, 3.3)
        ours = each["rws"]
        found = [ours["rws_2"], of_two, ours["rws_3"], of_three]
        found = [*(way["against_plain"] for way in found), each["against_random"]["rws_3"]]
        said = ["", f" ({two}, {of_two['units']:.2f})", "", f" ({three}, {of_three['units']:.2f})", ""]
        images = f"{each['images']} x {len(each['seeds'])}"
        record = f"[{name}](experiments/{folder.format(name)})"
        first = [record, images, f"{statistics.fmean(each['plain']):.2f}"]
        rows.append([*first, *(interval(way) + text for way, text in zip(found, said))])
        gains.append([way["mean"] for way in found])
    means = [f"{statistics.fmean(column):+.2f}" for column in zip(*gains)]
    return table(head, [*rows, ["mean", "", "", *means]])


def ahead() -> str:
    """Three passes against the best rival of at most 3.3 units, of the same networks."""
    # Imported late, as in pasted.
    from rws.evaluate.intervals import bootstrap
    from rws.evaluate.scores import miou

    rows, means = [], []
    for name, each in json.loads((FOLDER / "headline.json").read_text())["training_free"].items():
        best, _ = _best(each, 3.3)
        record = json.loads((FOLDER / f"fair_{name}" / "ways.json").read_text())
        ways = _overlaps(record, record["seeds"])
        found = bootstrap(ways["rws_3"], ways[best], miou)
        rows.append([name, f"`{best}`", interval(found)])
        means.append(found["mean"])
    last = ["mean", "", f"{statistics.fmean(means):+.2f}"]
    return table(["set", "best rival", "RWS - rival"], [*rows, last])


def passes() -> str:
    """What three, four and six passes gain, beside the best rivals of at most 3.3 and 6.3 units."""
    sets = json.loads((FOLDER / "headline.json").read_text())["more_passes"]
    head = ["set", "images x seeds", "RWS, 3 passes", "4 passes", "6 passes", "best rival, at most 3.3"]
    rows, gains = [], []
    for name, each in sets.items():
        best = [_best(each, most) for most in (3.3, 6.3)]
        said = ["", "", "", *(f" ({way}, {of['units']:.2f}, x {len(of['seeds'])})" for way, of in best)]
        found = [each["rws"][f"rws_{count}"] for count in (3, 4, 6)] + [of for _, of in best]
        found = [way["against_plain"] for way in found]
        inside = f"fair_{name}/passes" if (FOLDER / f"fair_{name}" / "passes").is_dir() else f"fair_{name}"
        first = [f"[{name}](experiments/{inside}/ways.md)", f"{each['images']} x {len(each['seeds'])}"]
        rows.append([*first, *(interval(way) + text for way, text in zip(found, said))])
        gains.append([way["mean"] for way in found])
    means = [f"{statistics.fmean(column):+.2f}" for column in zip(*gains)]
    return table([*head, "at most 6.3"], [*rows, ["mean", "", *means]])


def _mean_units(results: Iterable[dict], way: str) -> float:
    """Of a way in the results of records of `rws compare ways`."""
    return statistics.fmean(each[way]["units"] for each in results)


def equal_units() -> str:
    """Three passes beside larger images that cost as much, and a little more."""
    names = ("rws_3", "with_1.41", "weighed_1.41", "with_1.5", "weighed_1.5")
    found = read(tuple(f"fair_{name}/equal_units" for name in FAIR), "ways.json")
    gains = [[each["results"][name]["against_plain"] for name in names] for each in found.values()]
    rows = [
        [
            f"[{place.split('/')[0].removeprefix('fair_')}](experiments/{place}/ways.md)",
            f"{len(each['runs'][0]['ids'])} x {len(each['seeds'])}",
            *map(interval, row),
        ]
        for (place, each), row in zip(found.items(), gains, strict=True)
    ]
    means = [f"{statistics.fmean(gain['mean'] for gain in column):+.2f}" for column in zip(*gains)]
    units = [_mean_units((each["results"] for each in found.values()), name) for name in names]
    head = ["set", "images x seeds", *(f"`{name}`, {of:.2f} units" for name, of in zip(names, units))]
    return table(head, [*rows, ["mean", "", *means]])


def levels() -> str:
    """One plain pass and the gain of three, after the short training and after the long one, of one seed."""
    facts = json.loads((FOLDER / "headline.json").read_text())
    head = ["set", "epochs, short", "one pass", "three passes", "epochs, long", "one pass", "three passes"]
    rows = []
    for name, long in facts["training_free_long"].items():
        row = [name]
        # The short one is of the same kind of machine: elsewhere a network of the same seed is another.
        again = (f"fair_{name}_long/short", f"paste_{name}/plain", f"fair_{name}")
        short = next(path for place in again if (path := FOLDER / place / "ways.json").is_file())
        long_path = FOLDER / f"fair_{name}_long" / "ways.json"
        for folder, path in ((f"fair_{name}", short), (f"fair_{name}_long", long_path)):
            record = json.loads(path.read_text())
            place, ways = record["seeds"].index(long["seeds"][0]), record["results"]
            settings = yaml.safe_load((FOLDER / folder / "config.yaml").read_text())["settings"]
            alone, three = (ways[way]["miou"]["each"][place] for way in ("plain", "rws_3"))
            row += [str(settings["train.first_epochs"]), f"{alone:.2f}", f"{three - alone:+.2f}"]
        rows.append(row)
    return table(head, rows)


def pasted() -> str:
    """Training with pasted objects beside training without."""
    return _trained_and_again("pasted", "paste_{}", ("paste_{}/plain", "fair_{}"))


def slices_again() -> str:
    """Training on weak slices beside training without."""
    return _trained_and_again("slices", "fair_{}_arms/slices", ("fair_{}_arms/slices/plain",))


def _trained_and_again(word: str, own_folder: str, partners: tuple[str, ...]) -> str:
    """A way to train beside plain training, the first partner that is there: each in one pass and in three.

    All gains are to plain's one pass.
    """
    # Imported late: they load torch, which no other table needs.
    from rws.evaluate.intervals import bootstrap
    from rws.evaluate.scores import miou

    head = ["set", "images x seeds", "plain, one pass", f"{word}, one pass", "plain, three passes"]
    head += [f"{word}, three passes", "1.5 times the size averaged in, the better of both"]
    rows, gains = [], []
    for name in FAIR:
        own = FOLDER / own_folder.format(name) / "ways.json"
        if not own.is_file():
            continue
        places = [FOLDER / partner.format(name) / "ways.json" for partner in partners]
        partner = next(path for path in places if path.is_file())
        sides = [json.loads(path.read_text()) for path in (own, partner)]
        ours, plain = (_overlaps(side, sides[0]["seeds"]) for side in sides)
        ways = plain | {f"{word}, {way}": each for way, each in ours.items()}
        fair = ["with_1.5", f"{word}, with_1.5"]
        wanted = [f"{word}, plain", "rws_3", f"{word}, rws_3", *fair]
        found = {way: bootstrap(ways[way], plain["plain"], miou) for way in wanted}
        best = max(fair, key=lambda way: found[way]["mean"])
        cells = [found[way] for way in (*wanted[:3], best)]
        images = f"{len(sides[0]['runs'][0]['ids'])} x {len(sides[0]['seeds'])}"
        alone = statistics.fmean(miou(each.sum(0)) for each in plain["plain"])
        said = ["", "", "", f" ({best})"]
        record = f"[{name}](experiments/{own_folder.format(name)}/ways.md)"
        rows.append([record, images, f"{alone:.2f}", *(interval(c) + t for c, t in zip(cells, said))])
        gains.append([cell["mean"] for cell in cells])
    means = [f"{statistics.fmean(column):+.2f}" for column in zip(*gains)]
    return table(head, [*rows, ["mean", "", "", *means]])


def _overlaps(record: dict, seeds: list[int]) -> dict[str, np.ndarray]:
    """The overlaps of each way with the networks of some seeds; shape (networks, images, 2, classes)."""
    runs = [record["runs"][record["seeds"].index(seed)]["overlaps"] for seed in seeds]
    return {way: np.array([run[way] for run in runs]) for way in runs[0]}


def more_passes() -> str:
    """Gains of the networks of seed 0 by way, a column for each set; every way that all sets have."""
    found = read(tuple(f"fair_{name}/seed_0" for name in FAIR), "ways.json")
    results = [each["results"] for each in found.values()]
    shared = [name for name in results[0] if all(name in each for each in results) and name != "plain"]
    rows = []
    for name in sorted(shared, key=partial(_mean_units, results)):
        gains = [each[name]["against_plain"] for each in results]
        mean = f"{statistics.fmean(gain['mean'] for gain in gains):+.2f}"
        rows.append([f"`{name}`", f"{_mean_units(results, name):.2f}", *map(interval, gains), mean])
    heads = (f"[{path.split('/')[0].removeprefix('fair_')}](experiments/{path}/ways.md)" for path in found)
    return table(["", "units", *heads, "mean"], rows)


def schedule() -> str:
    """The paper's accounting, epoch by epoch: the released row, and ours with its intervals over seeds."""
    found = json.loads((FOLDER / "equal_schedule" / "schedule.json").read_text())["results"]
    arms = found["differences"]
    rows = []
    for epoch, released in enumerate(RELEASED, 1):
        ours = (interval(each[str(epoch)]) for each in arms.values())
        rows.append([str(epoch), f"{released:+.1f}", mean_and_deviation(found["plain"][str(epoch)]), *ours])
    ours = (interval(each["mean"]) for each in arms.values())
    mean = f"{statistics.fmean(RELEASED):+.1f}"
    rows.append(["mean", mean, mean_and_deviation(found["plain"]["mean"]), *ours])
    return table(["epoch", "released", "plain, here", *(f"{arm} - plain, here" for arm in arms)], rows)


def arms(name: str, classes: tuple[str, ...]) -> str:
    """Every arm of a record beside plain, with the IoU of some classes, means over seeds."""
    found = json.loads((FOLDER / name / "results.json").read_text())
    rows = []
    for arm, each in found["arms"].items():
        against = found["differences"]["plain"].get(arm)
        ious = (f"{statistics.fmean(v or 0.0 for v in each['iou'][c]):.2f}" for c in classes)
        said = ARM_NAMES.get((name, arm), f"`{arm}`")
        rows.append(
            [said, mean_and_deviation(each["miou"]), interval(against["miou"]) if against else "-", *ious]
        )
    return table(["", "val mIoU", "difference", *classes], rows)


def quarter(name: str = "quarter_animals") -> str:
    """Each arm with its mIoU by seed, and what its teacher's windows pass on.

    The control in the record `strong` was trained on another machine: it is paired with plain by seed alone.
    """
    found = json.loads((FOLDER / name / "results.json").read_text())
    plain = dict(zip(found["seeds"], found["arms"]["plain"]["miou"]["each"]))
    control = FOLDER / name / "strong" / "results.json"
    records = [found, *([json.loads(control.read_text())] if control.is_file() else [])]
    rows = []
    for record in records:
        for arm, each in record["arms"].items():
            own = each["miou"]["each"]
            by_seed = " ".join(f"{score:.2f}" for score in own)
            gain = "-" if arm == "plain" else interval(difference(own, [plain[s] for s in record["seeds"]]))
            rows.append([ARM_NAMES["quarter", arm], mean_and_deviation(each["miou"]), by_seed, gain])
    scores = [found["arms"][arm]["miou"]["each"] for arm in ("teacher_3", "teacher_1")]
    rows.append(["three passes - one pass", "", "", interval(difference(*scores))])
    return table(["one pass", "mIoU", "seed by seed", "against plain"], rows)


def films() -> str:
    """J, F and speed of the ways to predict films, means over networks and sequences."""
    found = json.loads((FOLDER / "films" / "films.json").read_text())["mean"]
    rows = [
        [
            FILM_WAYS[way],
            f"{each['passes']:.2f}",
            *(f"{score:.2f}" for score in (each["j"], each["f"], (each["j"] + each["f"]) / 2)),
            f"{1 / each['seconds']:.2f}",
        ]
        for way, each in found.items()
    ]
    return table(["", "passes", "J", "F", "J&F", "frames a second"], rows)


TABLES = {
    "again": again,
    "long": lambda: again("training_free_long", "fair_{}_long"),
    "ahead": ahead,
    "passes": passes,
    "levels": levels,
    "pasted": pasted,
    "more-passes": more_passes,
    "schedule": schedule,
    "losses": lambda: arms("camvid_losses", RARE),
    "own-images": lambda: arms("own_images", ("sidewalk", "fence", "car")),
    "quarter": quarter,
    "quarter-camvid": lambda: quarter("quarter_camvid"),
    "films": films,
    "trained": trained,
    "fair-arms": fair_arms,
    "equal-units": equal_units,
    "slices": slices,
    "slices-again": slices_again,
    "at-test-time": at_test_time,
}

if __name__ == "__main__":
    print(TABLES[sys.argv[1]]())
