"""The paper's own accounting: a fused training beside a plain one of as many epochs, epoch by epoch.

    rws compare schedule --config equal_schedule --data.root DIR

Each arm of the experiment runs one cycle, in which every training starts from the initial weights. Its first
training on whole images is plain, its last is fused; both take `train.epochs`. What lies between them,
looking for weak slices and training on them, is *not counted*. So this says what fusion adds to a training,
and not what RWS is worth for its price.
Writes config.yaml, schedule.json and schedule.md into experiments/<name>.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from rws.compare.__main__ import experiment_parser, limit_threads, planned
from rws.compare.intervals import difference, spread
from rws.compare.plan import Plan
from rws.compare.tables import interval, machine_line, mean_and_deviation, table
from rws.errors import UserError, exit_code
from rws.runs.checkpoint import write_result, write_text
from rws.runs.record import CycleRecord
from rws.runtime.bars import say
from rws.runtime.signals import handled

MEAN = "mean"  # of the epochs, the row below them


def mious(history: Sequence[dict]) -> list[float]:
    """Validation mIoU after each epoch of a training, in percent."""
    return [each["miou"] for each in history]


def check(plan: Plan) -> None:
    """Raises: UserError for settings with which the two trainings are not of one schedule."""
    for arm, config in plan.arms.items():
        where = f"experiment {plan.experiment.name}, arm {arm}"
        asked = {
            "cycles.limit": (config.cycles.limit, 1),
            "cycles.start": (config.cycles.start, "initial"),
            "cycles.budget": (config.cycles.budget, "added"),
            "fusion.enabled": (config.fusion.enabled, True),
            "train.eval_every": (config.train.eval_every, 1),
            "train.early_stop": (config.train.early_stop, None),
            "train.first_epochs": (config.train.first_epochs or config.train.epochs, config.train.epochs),
        }
        for key, (value, needed) in asked.items():
            if value != needed:
                raise UserError(f"{where}: {key} {value} must be {needed}, or the two schedules differ")


def results(cycles: dict[str, list[Sequence[CycleRecord]]]) -> dict:
    """mIoU by epoch and seed of plain and of every arm, with paired differences, from each seed's cycles."""
    plain = [mious(records[0].whole) for records in next(iter(cycles.values()))]
    fused = {arm: [mious(records[1].whole) for records in runs] for arm, runs in cycles.items()}
    first = next(iter(cycles.values()))[0]
    return {
        "images": first[1].whole_images,
        "uncounted": {"plain": first[0].whole_images, "slices": first[0].slice_images},
        "plain": _by_epoch(plain),
        "arms": {arm: _by_epoch(each) for arm, each in fused.items()},
        "differences": {arm: _differences(each, plain) for arm, each in fused.items()},
    }


def _rows(courses: list[list[float]]) -> dict[str, list[float]]:
    """One number a seed: of each epoch, and of the mean of all."""
    epochs = {str(epoch): list(values) for epoch, values in enumerate(zip(*courses, strict=True), 1)}
    return epochs | {MEAN: [sum(course) / len(course) for course in courses]}


def _by_epoch(courses: list[list[float]]) -> dict[str, dict]:
    return {row: spread(values) for row, values in _rows(courses).items()}


def _differences(ours: list[list[float]], plain: list[list[float]]) -> dict[str, dict]:
    theirs = _rows(plain)
    return {row: difference(values, theirs[row]) for row, values in _rows(ours).items()}


def render(name: str, record: dict) -> str:
    """schedule.md."""
    found, arms = record["results"], list(record["results"]["arms"])
    uncounted = found["uncounted"]
    said = (
        f"mIoU in percent on {record['images_in_list']} images of the list `{record['list']}` after each "
        f"epoch; seeds {', '.join(map(str, record['seeds']))}, ± standard deviation. Every training starts "
        f"from the initial weights and takes {found['images']:,} images. **Not counted** are the plain "
        f"training that the maps come from ({uncounted['plain']:,} images), the training on slices "
        f"({uncounted['slices']:,}), and the maps themselves. Differences are paired by seed, in brackets "
        "their 95 % interval (Student's t)."
    )
    rows = [
        [
            epoch,
            mean_and_deviation(plain),
            *(interval(found["differences"][arm][epoch]) for arm in arms),
        ]
        for epoch, plain in found["plain"].items()
    ]
    head = ["epoch", "plain", *(f"{arm} - plain" for arm in arms)]
    machine = machine_line(record["environment"], "rws.compare.schedule")
    return f"# {name}: equal schedule\n\n{said}\n\n{table(head, rows)}\n\n{machine}\n"


def run(plan: Plan, out: Path) -> None:
    """Run what is left of a plan and write its results."""
    from rws.compare.arms import prune, run_arm
    from rws.compare.results import load_outcomes, settings_of
    from rws.runs.log import environment
    from rws.runtime.device import choose_device

    write_text(out / "config.yaml", yaml.safe_dump(settings_of(plan), sort_keys=False))
    for seed in plan.seeds:
        for arm in plan.arms:
            say(f"== {arm}, seed {seed}")
            run_arm(plan, arm, seed)
            prune(plan, seed)
    outcomes = load_outcomes(plan)
    for arm, runs in outcomes.items():
        if short := [seed for seed, each in runs.items() if len(each.cycles) < 2]:
            raise UserError(
                f"{arm}, seed {short[0]}: ended without a fused training, for want of weak slices; widen "
                "what is weak (slices.*), or leave this seed out by --seeds"
            )
    first = next(iter(next(iter(outcomes.values())).values()))
    config = next(iter(plan.arms.values()))
    record = {
        "list": config.data.val_list,
        "images_in_list": first.report["images"],
        "seeds": plan.seeds,
        "results": results({arm: [each.cycles for each in runs.values()] for arm, runs in outcomes.items()}),
        "environment": environment(choose_device(config.device)),
    }
    write_result(out / "schedule.json", record)
    write_text(out / "schedule.md", render(plan.experiment.name, record))


make_parser = partial(experiment_parser, "rws compare schedule", __doc__)


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        chosen, plan, out = planned(make_parser(), arguments, equal_budget=False)
        check(plan)
        limit_threads(chosen.threads)
        with handled():
            run(plan, out)
        say(*(out / "schedule.md").read_text().split("\n"))

    return exit_code(
        command,
        results="runs are written into --runs, results into --out",
        interrupted="interrupted; the same command goes on from the last checkpoint",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
