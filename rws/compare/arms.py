"""Runs one arm with one seed: from where another arm of the seed has already been, to its report."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from rws.cli import dump, flatten
from rws.compare.measure import Report, measure
from rws.compare.plan import Plan
from rws.config import OPTIONS, Config
from rws.config.option import STEPS
from rws.cycle.artifacts import Artifacts
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.errors import DamagedFile
from rws.look.cam_vis import pictures
from rws.runs import checkpoint
from rws.runs.identity import check_folder, write_configuration
from rws.runs.lock import only_one
from rws.runs.log import log_lines
from rws.runs.record import shown
from rws.runtime.bars import say


def folder_of(config: Config) -> Path:
    """The folder of a run."""
    return Path(config.runs) / config.name


def artifacts_of(config: Config) -> Artifacts:
    """What lies in the folder of a run."""
    return Artifacts(folder_of(config))


def shared_steps(one: Config, other: Config) -> list[str]:
    """The steps of cycle 0 whose results are the same for both, in order."""
    first = {"train.epochs": None}
    flat = [
        flatten(yaml.safe_load(dump(c)))
        | {"train.first_epochs": (c.train.first_epochs or c.train.epochs, _later(c))}
        | first
        for c in (one, other)
    ]
    differ = [key for key in flat[0] if flat[0][key] != flat[1][key]]
    both = [step for step in _steps_of(other) if step in _steps_of(one)]
    return [step for step in both if not any(changes(key, step) for key in differ)]


def _later(config: Config) -> tuple | None:
    """The trainings that share the learning rate's fall with the first; None where there are none."""
    cycles = config.cycles
    return (cycles.limit, config.train.epochs) if cycles.annealed_once and cycles.limit else None


def changes(key: str, step: str) -> bool:
    """Whether an option changes the result of a step of cycle 0, or of one before it."""
    first = OPTIONS[key].metadata["step"]
    return first is not None and STEPS.index(first) <= STEPS.index(step)


def _steps_of(config: Config) -> list[str]:
    """The steps of a cycle in which a run of this configuration does anything."""
    if config.fusion.enabled:
        return ["whole", "score", "slices", "select"]
    if config.train.slice_mix:
        return ["whole", "score"]
    return ["whole", "teach"] if config.teaches else ["whole"]


def _done(config: Config, step: str) -> bool:
    run = artifacts_of(config)
    return run.after(step, 0).is_file() and run.left(step, 0).exists()


def fork(source: Config, target: Config, step: str) -> None:
    """Make the folder of `target` as if it had done the steps up to `step` of cycle 0 as `source` did."""
    old, new = artifacts_of(source), folder_of(target)
    part = Artifacts(new.with_name(f".{new.name}.part"))
    shutil.rmtree(part.folder, ignore_errors=True)
    steps = _steps_of(source)
    part.take_over(old, steps[: steps.index(step) + 1])
    lines, damaged = log_lines(old.log)
    if damaged:
        say(f"warning: {old.log}: {damaged} damaged lines, which are left out of the log of {target.name}")
    first = [line for line, held in lines if str(held.get("training")).endswith("-0")]
    part.log.write_text("".join(first))
    write_configuration(part.folder, target)
    os.replace(part.folder, new)


def begin(config: Config, others: Sequence[Config]) -> str | None:
    """Start a run that is not there from the other that leads furthest; the step up to which it is done."""
    if (folder_of(config) / "config.yaml").is_file():
        return None
    best: tuple[int, Config | None, str] = (-1, None, "")
    for other in others:
        for place, step in enumerate(shared_steps(other, config)):
            if place > best[0] and _done(other, step):
                best = (place, other, step)
    if best[1] is None:
        return None
    fork(best[1], config, best[2])
    for lender in (other for other in others if best[2] == "slices" and lends(other, config)):
        artifacts_of(config).borrow_selection(artifacts_of(lender))
        return f"{best[1].name} up to {shown(best[2], 0)}, with the selection of {lender.name}"
    return f"{best[1].name} up to {shown(best[2], 0)}"


def lends(config: Config, other: Config) -> bool:
    """Whether `other` fuses at as many random positions as `config` fuses at advantaged ones, and could count
    them in its bank."""
    advantaged = replace(other, fusion=replace(other.fusion, positions="advantaged"))
    counts = other.fusion.positions == "random" and config.fusion.positions == "advantaged"
    return counts and "select" in shared_steps(config, advantaged) and _done(config, "select")


def run_arm(plan: Plan, arm: str, seed: int) -> dict:
    """Run an arm to its end and evaluate it once on the report list; a finished one is only read.

    Raises: UserError when the run was begun with other settings.
    """
    config = plan.config(arm, seed)
    report = folder_of(config) / "report.json"
    check_folder(config, resume=True)
    list_name = plan.experiment.report_list or config.data.val_list
    if (found := _reported(report)) and found["list"] == list_name:
        return found
    with only_one(folder_of(config)):
        return _run(plan, arm, seed, config)


def _reported(path: Path) -> dict | None:
    """What a run was evaluated to; None where it was not, or has to be again."""
    try:
        return checkpoint.read_json(path, Report) if path.is_file() else None
    except DamagedFile as error:
        say(f"warning: {str(error).partition(';')[0]}; the run is evaluated again")
        return None


def _run(plan: Plan, arm: str, seed: int, config: Config) -> dict:
    list_name = plan.experiment.report_list or config.data.val_list
    others = [plan.config(other, seed) for other in plan.arms if other != arm]
    if started := begin(config, others):
        say(f"{arm}, seed {seed}: starts from {started}")
    setup, _ = prepare(config, resume=True)
    Run(setup, pictures(config)).train()
    found = measure(setup, list_name)
    checkpoint.write_json(folder_of(config) / "report.json", found)
    return found


def prune(plan: Plan, seed: int) -> None:
    """Remove the banks of finished arms that no unfinished arm of the seed can start from."""
    configs = [plan.config(arm, seed) for arm in plan.arms]
    finished = [c for c in configs if (folder_of(c) / "report.json").is_file()]
    unbegun = [c for c in configs if not (folder_of(c) / "config.yaml").is_file()]
    for config in finished:
        wanted = any("select" in shared_steps(config, other) or lends(config, other) for other in unbegun)
        run = artifacts_of(config)
        for k in run.cycles():
            if k or not wanted:
                run.remove_bank(k)
