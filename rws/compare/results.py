"""From the folders of finished runs to results.json."""

import dataclasses
import statistics
from dataclasses import dataclass

from rws.cli import flatten
from rws.compare.arms import folder_of
from rws.compare.intervals import difference, spread
from rws.compare.measure import Report
from rws.compare.plan import Plan
from rws.cycle.artifacts import Artifacts
from rws.data.object_sizes import LARGE, SMALL
from rws.evaluate.groups import BOUNDARY_PIXELS, GROUPS
from rws.evaluate.scores import class_ious, labelled_miou
from rws.runs import checkpoint
from rws.runs.record import CycleRecord
from rws.training.evaluation import as_scores

STEPS = ("whole", "slices", "score", "select", "teach")


@dataclass(frozen=True)
class Outcome:
    """One finished run: its report and the records of its cycles."""

    report: dict
    cycles: tuple[CycleRecord, ...]
    environment: dict

    @property
    def images(self) -> int:
        """Images forward and backward in all, slices included."""
        return sum(c.images_seen for c in self.cycles)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall clock of each kind of step, whether this run took it or started from another's."""
        return {step: round(sum(c.seconds.get(step, 0.0) for c in self.cycles), 1) for step in STEPS}

    @property
    def miou(self) -> float:
        import torch

        return as_scores(torch.tensor(self.report["confusion"]["all"]), tuple(self.report["classes"]))["miou"]

    def course(self) -> dict[int, float]:
        """Validation mIoU by images seen."""
        points, before = {}, 0
        for c in self.cycles:
            batch = c.whole_images // c.whole[-1]["step"]
            points |= {before + r["step"] * batch: r["miou"] for r in c.whole if "miou" in r}
            before += c.images_seen
        return points


def load_outcomes(plan: Plan) -> dict[str, dict[int, Outcome]]:
    """The runs that have a report, by arm and seed; seeds that not all arms have finished are left out."""
    found: dict[str, dict[int, Outcome]] = {arm: {} for arm in plan.arms}
    for arm in plan.arms:
        for seed in plan.seeds:
            folder = folder_of(plan.config(arm, seed))
            if (folder / "report.json").is_file():
                report = checkpoint.read_json(folder / "report.json", Report)
                environment = checkpoint.read_json(folder / "env.json")
                found[arm][seed] = Outcome(report, Artifacts(folder).read_state().cycles, environment)
    whole = [seed for seed in plan.seeds if all(seed in runs for runs in found.values())]
    return {arm: {seed: runs[seed] for seed in whole} for arm, runs in found.items()}


def unequal_budgets(outcomes: dict[str, dict[int, Outcome]]) -> list[str]:
    """What to say of the seeds whose arms did not see as many images."""
    said = []
    for seed in next(iter(outcomes.values())):
        images = {arm: runs[seed].images for arm, runs in outcomes.items()}
        if len(set(images.values())) > 1:
            said.append(f"seed {seed}: the arms did not see as many images: {images}")
    return said


def results(plan: Plan, outcomes: dict[str, dict[int, Outcome]]) -> dict:
    """All that is reported; scores in percent. `seconds` and `environment` alone differ between machines."""
    first = next(iter(outcomes.values()))
    report = next(iter(first.values())).report
    head = {
        "name": plan.experiment.name,
        "list": report["list"],
        "images_in_list": report["images"],
        "classes": report["classes"],
        "groups": {"small_below": SMALL, "large_above": LARGE, "boundary_pixels": BOUNDARY_PIXELS},
        "epoch_images": next(iter(first.values())).cycles[0].images,
    }
    cells = {arm: {seed: cell_of(run) for seed, run in runs.items()} for arm, runs in outcomes.items()}
    seconds = {arm: _mean_seconds(list(runs.values())) for arm, runs in outcomes.items()}
    return assembled(head, cells, seconds)


def cell_of(run: Outcome) -> dict:
    """What one arm and seed adds to the results."""
    ious = class_ious(run.report["confusion"]["all"])
    return {
        "miou": run.miou,
        "iou": dict(zip(run.report["classes"], ious)),
        "groups": {g: labelled_miou(run.report["confusion"][g]) for g in GROUPS if g != "all"},
        "fused_share": run.cycles[-1].fused_share,
        "first_training_miou": run.cycles[0].whole[-1]["miou"],
        "course": run.course(),
        "images": run.images,
        "environment": run.environment,
    }


def assembled(head: dict, cells: dict[str, dict[int, dict]], seconds: dict[str, dict[str, float]]) -> dict:
    """The results of all arms, each with the same seeds; `head` is what the runs have in common."""
    seeds = list(next(iter(cells.values())))
    arms = {arm: _arm([each[s] for s in seeds]) for arm, each in cells.items()}
    budget = {str(s): {arm: each[s]["images"] for arm, each in cells.items()} for s in seeds}
    against = [arm for arm in ("plain", "slices") if arm in arms]
    environment = {str(s): {a: each[s]["environment"] for a, each in cells.items()} for s in seeds}
    return head | {
        "seeds": seeds,
        "budget": budget,
        "equal_budget": all(len(set(images.values())) == 1 for images in budget.values()),
        "arms": arms,
        "differences": {to: {a: _paired(arms[a], arms[to]) for a in arms if a != to} for to in against},
        "course": _course(cells, seeds),
        "seconds": seconds,
        "environment": environment,
    }


def _arm(cells: list[dict]) -> dict:
    groups = {g: [cell["groups"].get(g) for cell in cells] for g in cells[0]["groups"]}
    return {
        "miou": spread([cell["miou"] for cell in cells]),
        "iou": {name: [cell["iou"][name] for cell in cells] for name in cells[0]["iou"]},
        "groups": {g: spread(values) for g, values in groups.items() if None not in values},
        "fused_share": [cell["fused_share"] for cell in cells],
        "first_training_miou": [cell["first_training_miou"] for cell in cells],
    }


def _paired(ours: dict, theirs: dict) -> dict:
    """Paired differences of mIoU, of each class's IoU and of each group's mIoU."""
    classes = {
        name: statistics.fmean(a - b for a, b in zip(values, theirs["iou"][name]))
        for name, values in ours["iou"].items()
        if None not in values and None not in theirs["iou"][name]
    }
    groups = {
        g: difference(each["each"], theirs["groups"][g]["each"])
        for g, each in ours["groups"].items()
        if g in theirs["groups"]
    }
    return {
        "miou": difference(ours["miou"]["each"], theirs["miou"]["each"]),
        "iou": classes,
        "groups": groups,
    }


def _course(cells: dict[str, dict[int, dict]], seeds: list[int]) -> list[dict]:
    """Validation mIoU of every arm, a list over seeds, wherever all of them were evaluated."""
    courses = {arm: [each[s]["course"] for s in seeds] for arm, each in cells.items()}
    common = set.intersection(*(set(course) for each in courses.values() for course in each))
    return [
        {"images": images, **{arm: [course[images] for course in each] for arm, each in courses.items()}}
        for images in sorted(common)
    ]


def _mean_seconds(runs: list[Outcome]) -> dict[str, float]:
    return {step: round(statistics.fmean(run.seconds[step] for run in runs), 1) for step in STEPS}


def settings_of(plan: Plan) -> dict:
    """The resolved experiment: what all arms share, and what each has of its own, by dotted key."""
    flat = {arm: flatten(dataclasses.asdict(config)) for arm, config in plan.arms.items()}
    flat = {
        arm: {key: _listed(v) for key, v in each.items() if key not in ("name", "seed")}
        for arm, each in flat.items()
    }
    experiment = plan.experiment
    return {
        "name": experiment.name,
        "base": experiment.base,
        "seeds": plan.seeds,
        "report_list": experiment.report_list,
        **shared_and_own(flat),
    }


def shared_and_own(flat: dict[str, dict]) -> dict:
    """The settings of all arms as those that they share, and what each has of its own."""
    first = next(iter(flat.values()))
    shared = {key: v for key, v in first.items() if all(each.get(key) == v for each in flat.values())}
    own = {arm: {k: v for k, v in each.items() if k not in shared} for arm, each in flat.items()}
    return {"settings": shared, "arms": own}


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
