"""Ways to predict with finished networks at equal compute, image by image, nothing retrained.

    rws compare ways --config fair_cow --data.root DIR

Takes the finished runs of an experiment, predicts the list that it reports in every way, and writes ways.json
and ways.md into experiments/<name>. A unit is one forward pass at the size of the network's input. An image
at s times that size costs s^2, a window 1. `--half first` takes the first of every two images by id, `second`
the others: what is chosen is chosen on other images than what is reported. `--ways` measures some alone,
`--add` beside those that the record has. `--arms NAME` takes another arm than plain.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rws.compare.__main__ import experiment_parser, limit_threads, planned
from rws.compare.arms import folder_of
from rws.compare.intervals import spread
from rws.compare.plan import Plan
from rws.compare.tables import interval, machine_line, mean_and_deviation, table
from rws.config import Config
from rws.errors import Parser, UserError, exit_code
from rws.evaluate.counted import count_ways
from rws.evaluate.intervals import bootstrap
from rws.evaluate.names import CHOSEN
from rws.evaluate.scores import miou
from rws.evaluate.ways import Trained, Way, again, by_error, uniform_ways
from rws.method.look_again import PassBudget
from rws.predict.ways import LookAgain
from rws.runs.checkpoint import read_json, write_result, write_text
from rws.runs.log import environment
from rws.runs.model_file import load_trained
from rws.runs.splits import open_list
from rws.runtime.bars import say
from rws.runtime.device import choose_device, memory_format

HALVES = ("all", "first", "second")


PASSES = (2, 3, 4, 6)
SIDES = {"": LookAgain().sides, "_large": (0.7,), "_half": (0.5,)}
MEANINGS = {
    "plain": "the network alone",
    "flip, ms_flip, quarters, quarters_flip": "as `--ways`",
    "at_S": "the image at S times the size, alone",
    "with_S": "the mean of the image's own size and S times it",
    "weighed_S": "both, S times its size believed as far as the own size is unsure, as windows are",
    "rws_K": "whole and windows by uncertainty, as `--ways rws`, but K passes for each image",
    "rws_mean_K": "the same, K passes on the average over the list",
    "_large, _half": "windows of 0.7 of the sides alone, of 0.5 alone",
    "random_K, oracle_K": "as many windows of the same sizes by chance, and windows by the true errors",
    "attention_K": "by what the last stage's heat map misses; a backward pass a class, a unit each",
}


def make_ways() -> dict[str, Way]:
    """Every way by name; those with a budget are good for one list."""
    ways = uniform_ways()
    for kind, sides in SIDES.items():
        for passes in PASSES:
            looks = {name: LookAgain(passes, passes, sides, choose=how) for name, how in CHOSEN.items()}
            ways |= {f"{name}{kind}_{passes}": partial(again, look, None) for name, look in looks.items()}
        ways[f"oracle{kind}_3"] = partial(by_error, LookAgain(3, 3, sides), None)
    ways["rws_mean_3"] = partial(again, LookAgain(3), PassBudget(LookAgain(3)))
    return ways


NAMES = tuple(make_ways())


def measure_run(config: Config, list_name: str, half: str, names: Sequence[str]) -> dict:
    """Pixels in common and in either, by image and class, and mean units of some ways, for one finished run.

    Raises: UserError for a run that has not been finished.
    """
    folder = folder_of(config)
    if not (folder / "report.json").is_file():
        raise UserError(f"{folder}: not finished; run `rws compare` first")
    network, card = load_trained(folder / "last.pt", [config.model.name])
    device = choose_device(config.device)
    network = network.eval().to(device, memory_format=memory_format(config.model.channels_last))
    trained, split = Trained(network, card), open_list(config.data, "val", list_name)
    ids = {"all": split.ids, "first": sorted(split.ids)[::2], "second": sorted(split.ids)[1::2]}[half]
    made = {name: way for name, way in make_ways().items() if name in names}
    if any(name.startswith("attention") for name in made):
        trained.require_stages(str(folder / "last.pt"))
    counted = count_ways(trained, split, ids, made, f"ways {folder}")
    overlaps = {name: each.overlaps.tolist() for name, each in counted.items()}
    units = {name: each.units for name, each in counted.items()}
    return {"list": list_name, "half": half, "ids": list(ids), "overlaps": overlaps, "units": units}


def joined(records: list[dict]) -> dict:
    """One record of the seeds of several, with the ways that all of them measured.

    Raises: UserError for records of other images or of several arms, and for a seed that differs in two.
    """
    first, runs = records[0]["runs"][0], {}
    if len({arm_of(record) for record in records}) > 1:
        raise UserError("ways.json: the records are of several arms; join those of one")
    for record in records:
        for seed, run in zip(record["seeds"], record["runs"], strict=True):
            if seed in runs and _contradicts(run, runs[seed]):
                raise UserError(f"ways.json: seed {seed} differs in two records; leave one out")
            if run["ids"] != first["ids"]:
                raise UserError(
                    "ways.json: the records are of other images; measure one list with the same half"
                )
            runs.setdefault(seed, run)
    names = [name for name in first["overlaps"] if all(name in run["overlaps"] for run in runs.values())]
    seeds = sorted(runs)
    kept = [_only(runs[seed], names) for seed in seeds]
    made = [each for record in records for each in environments(record)]
    arm = arm_of(records[0])
    return {"arm": arm, "seeds": seeds, "results": results(kept), "runs": kept, "environment": made}


def arm_of(record: dict) -> str:
    """The arm whose networks a record is of."""
    return record.get("arm", "plain")


def _contradicts(run: dict, other: dict) -> bool:
    """Whether two measurements of one seed differ where they measured the same."""
    ours, theirs = run["overlaps"], other["overlaps"]
    return run["ids"] != other["ids"] or any(ours[name] != theirs[name] for name in ours.keys() & theirs)


def added(before: dict, record: dict) -> dict:
    """A record with the ways of an earlier one, of the same seeds, that it did not measure anew.

    Raises: UserError for records of other images, and of networks that predict otherwise.
    """
    runs = []
    for seed, old, new in zip(record["seeds"], before["runs"], record["runs"], strict=True):
        if old["ids"] != new["ids"] or old["overlaps"]["plain"] != new["overlaps"]["plain"]:
            raise UserError(f"--add: the record of seed {seed} is of other images or another network")
        runs.append(new | {key: old[key] | new[key] for key in ("overlaps", "units")})
    made = [*environments(before), *environments(record)]
    return {**record, "results": results(runs), "runs": runs, "environment": made}


def _only(run: dict, names: Sequence[str]) -> dict:
    """A run with some of its ways."""
    return run | {key: {name: run[key][name] for name in names} for key in ("overlaps", "units")}


def environments(record: dict) -> list[dict]:
    """Where and with what a record was made; several for one that was joined."""
    made = record["environment"]
    return made if isinstance(made, list) else [made]


def write(name: str, record: dict, out: Path) -> None:
    """ways.json and ways.md."""
    write_result(out / "ways.json", record)
    write_text(out / "ways.md", render(name, record))


def results(runs: list[dict]) -> dict:
    """mIoU and units of every way over the runs, and differences with intervals over images.

    They are to plain, and of RWS also to random windows of the same kind and number.
    """
    overlaps = {name: np.array([run["overlaps"][name] for run in runs]) for name in runs[0]["overlaps"]}
    plain = overlaps["plain"]
    found = {}
    for name, each in overlaps.items():
        found[name] = {
            "units": float(np.mean([run["units"][name] for run in runs])),
            "miou": spread([miou(one.sum(0)) for one in each]),
            "against_plain": bootstrap(each, plain, miou),
        }
        by_chance = name.replace("rws", "random")
        if name != by_chance and by_chance in overlaps:
            found[name]["against_random"] = bootstrap(each, overlaps[by_chance], miou)
    return found


def render(name: str, record: dict) -> str:
    """ways.md."""
    runs, found = record["runs"], record["results"]
    first = runs[0]
    images = f"{len(first['ids'])} images of the list `{first['list']}`"
    part = "" if first["half"] == "all" else f" (the {first['half']} of every two by id)"
    seeds_said = ", ".join(map(str, record["seeds"]))
    said = (
        f"{images}{part}; networks of the arm {arm_of(record)}, seeds {seeds_said}, nothing retrained. "
        "mIoU in percent, ± standard deviation over seeds. Differences are to one plain pass of the same "
        "networks, in brackets 95 % over a bootstrap of the images. A unit is one forward pass at the size "
        "of the network's input."
    )
    rows = [
        [
            way,
            f"{each['units']:.2f}",
            mean_and_deviation(each["miou"]),
            interval(each["against_plain"]),
            interval(each["against_random"]) if "against_random" in each else "-",
        ]
        for way, each in sorted(found.items(), key=lambda pair: pair[1]["units"])
    ]
    rows = table(["way", "units", "mIoU", "to plain", "to random windows"], rows)
    meanings = "\n".join(f"- {way}: {meaning}" for way, meaning in MEANINGS.items())
    machine = "\n\n".join(machine_line(made, "rws.compare.ways") for made in environments(record))
    return f"# {name}: ways to predict\n\n{said}\n\n{rows}\n\n{meanings}\n\n{machine}\n"


def run(plan: Plan, out: Path, half: str, names: Sequence[str], *, add: bool = False) -> None:
    """Measure the one arm of a plan in some ways, `plain` among them, and write the results.

    add: to those that `out` has already.

    Raises: UserError for several arms, and for a run that has not been finished.
    """
    experiment = plan.experiment
    if len(plan.arms) > 1:
        raise UserError(f"command line: --arms {' '.join(plan.arms)}: name one; each has a record of its own")
    (arm,) = plan.arms
    if (path := out / "ways.json").is_file() and (there := arm_of(read_json(path))) != arm:
        raise UserError(f"{path}: is of the arm {there}, not of {arm}; give another --out")
    before = _before(plan, out) if add else None
    configs = [plan.config(arm, seed) for seed in plan.seeds]
    runs = [measure_run(c, experiment.report_list or c.data.val_list, half, names) for c in configs]
    where = environment(choose_device(configs[0].device))
    record = {"arm": arm, "seeds": plan.seeds, "results": results(runs), "runs": runs, "environment": where}
    if before:
        record = added(before, record)
    write(experiment.name, record, out)


def _before(plan: Plan, out: Path) -> dict:
    """The record in `out`, before anything is measured for it.

    Raises: UserError where there is none, and for one of other seeds.
    """
    path = out / "ways.json"
    if not path.is_file():
        raise UserError(f"--add: {path} does not exist; leave out --add to begin it")
    before = read_json(path)
    if before["seeds"] != plan.seeds:
        raise UserError(f"--add: {path} has seeds {before['seeds']}, not {plan.seeds}; give its --seeds")
    return before


def make_parser() -> Parser:
    """What reads the flags of the command that are not those of `rws train`."""
    parser = experiment_parser("rws compare ways", __doc__)
    some = f"of {', '.join(NAMES)}; default: all"
    parser.add_argument("--ways", nargs="+", choices=NAMES, default=list(NAMES), metavar="WAY", help=some)
    parser.add_argument("--add", action="store_true", help="to the ways that the record in --out has")
    parser.add_argument("--half", choices=HALVES, default="all", help="of the list; default: all of it")
    return parser


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        chosen, plan, out = planned(make_parser(), arguments, ["plain"])
        limit_threads(chosen.threads)
        names = [way for way in NAMES if way == "plain" or way in chosen.ways]
        run(plan, out, chosen.half, names, add=chosen.add)
        say(*(out / "ways.md").read_text().split("\n"))

    return exit_code(
        command, results="results are written into --out", interrupted="interrupted; nothing was written"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
