"""Join records of one experiment that have different seeds or arms, such as those of several machines.

    rws compare join experiments/voc_cow elsewhere/voc_cow --out experiments/voc_cow

Each folder holds the config.yaml and results.json that rws.compare wrote. An arm and seed that two
records have must have the same scores in both: this is what shows that they can be compared, and where there
is none a warning says so. The seconds are means over the records, by their number of seeds; writes what
rws.compare writes. Where all folders have a ways.json, these are joined, too, by the ways that all measured.
"""

import sys
from pathlib import Path

import yaml

from rws.cli import dump, flatten
from rws.compare.curves import draw
from rws.compare.results import assembled, shared_and_own
from rws.compare.tables import render
from rws.config import Config
from rws.config.retired import RETIRED, as_it_was, is_retired, without_flags
from rws.errors import DamagedFile, Parser, UserError, exit_code
from rws.runs.checkpoint import read_json, write_json, write_text
from rws.runs.identity import FREE
from rws.runtime.bars import say

HEAD = ("name", "list", "images_in_list", "classes", "groups", "epoch_images")
SCORES = ("miou", "iou", "groups", "images")
NEEDED = (*HEAD, "seeds", "arms", "budget", "course", "seconds", "environment")
NEEDED_SETTINGS = ("name", "base", "report_list", "settings", "arms")


def read_record(folder: Path) -> tuple[dict, dict]:
    """The settings and the results of a record.

    Raises: UserError for a file that is missing or is not what it should be.
    """
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        found = read_json(folder / "results.json")
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: missing; a record has config.yaml and results.json") from error
    except (ValueError, DamagedFile, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{folder}: not a record of rws.compare ({reason})") from error
    for tree, keys, name in ((settings, NEEDED_SETTINGS, "config.yaml"), (found, NEEDED, "results.json")):
        if lacking := [key for key in keys if not isinstance(tree, dict) or key not in tree]:
            raise UserError(f"{folder / name}: lacks {lacking[0]}; it is not a record of rws.compare")
    return settings, found


def cells_of(found: dict) -> dict[str, dict[int, dict]]:
    """The parts of a record by arm and seed; the inverse of `assembled`."""
    cells = {}
    for arm, each in found["arms"].items():
        cells[arm] = {
            seed: {
                "miou": each["miou"]["each"][k],
                "iou": {name: values[k] for name, values in each["iou"].items()},
                "groups": {g: values["each"][k] for g, values in each["groups"].items()},
                "fused_share": each["fused_share"][k],
                "first_training_miou": each["first_training_miou"][k],
                "course": {point["images"]: point[arm][k] for point in found["course"]},
                "images": found["budget"][str(seed)][arm],
                "environment": found["environment"][str(seed)][arm],
            }
            for k, seed in enumerate(found["seeds"])
        }
    return cells


def join(records: list[dict]) -> dict:
    """The results of all arms and seeds of some results.

    Raises: UserError for results of another list, for a run that came out otherwise in another record, and
        for an arm without one of the seeds.
    """
    head = {key: records[0][key] for key in HEAD}
    cells: dict[str, dict[int, dict]] = {}
    for found in records:
        for key in HEAD:
            if found[key] != head[key]:
                raise UserError(f"{found['name']}: {key} is {found[key]}, in the first record {head[key]}")
        for arm, each in cells_of(found).items():
            for seed, cell in each.items():
                known = cells.setdefault(arm, {}).setdefault(seed, cell)
                if differing := _differing(known, cell):
                    raise UserError(
                        f"{head['name']}, {arm}, seed {seed}: {differing} in two records; they are not of "
                        "the same code, settings and data"
                    )
    seeds = sorted({seed for each in cells.values() for seed in each})
    for arm, each in cells.items():
        if missing := [seed for seed in seeds if seed not in each]:
            raise UserError(f"{head['name']}: the arm {arm} lacks seed {missing[0]}; run it, or leave it out")
    cells = {arm: {seed: each[seed] for seed in seeds} for arm, each in cells.items()}
    return assembled(head, cells, {arm: _seconds(records, arm) for arm in cells})


def _differing(one: dict, other: dict) -> str:
    """What two records have otherwise of one run, in words; a group may be missing in one of them."""
    common = one["groups"].keys() & other["groups"].keys()
    for key in SCORES:
        pair = [{g: c["groups"][g] for g in common} if key == "groups" else c[key] for c in (one, other)]
        if pair[0] != pair[1]:
            return f"{key} {pair[0]} and {pair[1]}"
    return ""


def unchecked(records: list[dict]) -> bool:
    """Whether some record has no arm and seed in common with any other: nothing shows it comparable."""
    runs = [{(arm, seed) for arm in found["arms"] for seed in found["seeds"]} for found in records]
    return len(runs) > 1 and any(all(a.isdisjoint(b) for b in runs if b is not a) for a in runs)


def _seconds(records: list[dict], arm: str) -> dict[str, float]:
    """Mean seconds of an arm's steps over the records that have it, by their number of seeds."""
    having = [found for found in records if arm in found["seconds"]]
    count = sum(len(found["seeds"]) for found in having)
    steps = dict.fromkeys(step for found in having for step in found["seconds"][arm])
    return {  # a record of before there was a step has none of it
        step: round(sum(f["seconds"][arm].get(step, 0.0) * len(f["seeds"]) for f in having) / count, 1)
        for step in steps
    }


def join_settings(settings: list[dict], seeds: list[int]) -> dict:
    """config.yaml of the joined record; of an arm that two have, the first one's.

    Raises: UserError where they differ in what the scores depend on.
    """
    arms: dict[str, dict] = {}
    defaults = flatten(yaml.safe_load(dump(Config())))
    defaults = {key: v for key, v in defaults.items() if key not in ("name", "seed")} | RETIRED
    for each in settings:
        for arm, own in each["arms"].items():
            # Where an option was not there, the run did as its default does, or otherwise before.
            said = {**each["settings"], **own}
            flat = without_flags({**defaults, **as_it_was(said), **said})
            known = arms.setdefault(arm, flat)
            for key in flat.keys() - FREE:
                if known[key] != flat[key]:
                    raise UserError(
                        f"{each['name']}, {arm}: {key} is {flat[key]!r}, in another record {known[key]!r}"
                    )
    for key in RETIRED:  # told where it said something
        if not any(is_retired(key, flat[key]) for flat in arms.values()):
            for flat in arms.values():
                del flat[key]
    named = {key: settings[0][key] for key in ("name", "base")}
    return {**named, "seeds": seeds, "report_list": settings[0]["report_list"], **shared_and_own(arms)}


def make_parser() -> Parser:
    """What reads the flags of the command."""
    parser = Parser("rws compare join", __doc__)
    parser.add_argument("records", nargs="+", type=Path, help="folders of records")
    parser.add_argument("--arms", nargs="+", help="default: all")
    parser.add_argument("--out", type=Path, required=True, help="folder of the joined record")
    return parser


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        chosen = make_parser().parse_args(arguments)
        folders = dict.fromkeys(folder.resolve() for folder in chosen.records)  # seconds count each once
        settings, found = zip(*map(read_record, folders))
        for arm in chosen.arms or ():
            if not any(arm in record["arms"] for record in found):
                raise UserError(f"no record has an arm {arm!r}; there are {', '.join(found[0]['arms'])}")
        if unchecked(found):
            say("warning: no arm and seed is in two records, so nothing shows that they are comparable")
        joined = join([_only(record, chosen.arms) for record in found])
        of_arms = join_settings([_only(each, chosen.arms) for each in settings], joined["seeds"])
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_text(chosen.out / "config.yaml", yaml.safe_dump(of_arms, sort_keys=False))
        write_json(chosen.out / "results.json", joined)
        write_text(chosen.out / "table.md", render(joined))
        draw(joined, chosen.out / "curves.png")
        say(*(chosen.out / "table.md").read_text().split("\n"))
        _join_ways(joined["name"], list(folders), chosen.out)

    return exit_code(command, results="results are written into --out", interrupted="interrupted")


def _join_ways(name: str, folders: list[Path], out: Path) -> None:
    if not all((folder / "ways.json").is_file() for folder in folders):
        return
    # Imported late: it loads torch.
    from rws.compare.ways import joined, write

    write(name, joined([read_json(folder / "ways.json") for folder in folders]), out)
    say(*(out / "ways.md").read_text().split("\n"))


def _only(record: dict, arms: list[str] | None) -> dict:
    """A record with some of its arms."""
    return (
        record if arms is None else record | {"arms": {a: e for a, e in record["arms"].items() if a in arms}}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
