"""Runs one arm with one seed: from where another arm of the seed has already been, to its report."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from rws.cli import dump, flatten
from rws.compare.measure import measure
from rws.compare.plan import Plan
from rws.config import OPTIONS, Config
from rws.config.option import STEPS
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.runs import checkpoint
from rws.runs.identity import check_folder
from rws.runs.lock import only_one

# What each step of cycle 0 leaves for the steps after it, in the folder of the cycle.
LEFT = {"whole": "whole.pt", "score": "slices.json", "slices": "slices.pt", "select": "bank"}


def folder_of(config: Config) -> Path:
    """The folder of a run."""
    return Path(config.runs) / config.name


def shared_steps(one: Config, other: Config) -> list[str]:
    """The steps of cycle 0 whose results are the same for both, in order."""
    first = {"train.epochs": None}
    flat = [
        flatten(yaml.safe_load(dump(c)))
        | {"train.first_epochs": c.train.first_epochs or c.train.epochs}
        | first
        for c in (one, other)
    ]
    differ = [key for key in flat[0] if flat[0][key] != flat[1][key]]
    both = [step for step in _steps_of(other) if step in _steps_of(one)]
    return [step for step in both if not any(changes(key, step) for key in differ)]


def changes(key: str, step: str) -> bool:
    """Whether an option changes the result of a step of cycle 0, or of one before it."""
    first = OPTIONS[key].metadata["step"]
    return first is not None and STEPS.index(first) <= STEPS.index(step)


def _steps_of(config: Config) -> list[str]:
    """The steps of a cycle in which a run of this configuration does anything."""
    if config.fusion.enabled:
        return list(LEFT)
    return ["whole", "score"] if config.train.slice_mix else ["whole"]


def _done(config: Config, step: str) -> bool:
    cycle = folder_of(config) / "cycles" / "0"
    return (cycle / f"after_{step}.json").is_file() and (cycle / LEFT[step]).exists()


def fork(source: Config, target: Config, step: str) -> None:
    """Make the folder of `target` as if it had done the steps up to `step` of cycle 0 as `source` did.

    Files are linked where the file system can: runs replace files and never write into them.
    """
    old, new = folder_of(source), folder_of(target)
    part = new.with_name(f".{new.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "cycles/0").mkdir(parents=True)
    for done in list(LEFT)[: list(LEFT).index(step) + 1]:
        for name in (LEFT[done], f"after_{done}.json"):
            _copy(old / "cycles/0" / name, part / "cycles/0" / name)
    _copy(old / "cycles/0/whole.pt", part / "last.pt")
    _copy(old / f"cycles/0/after_{step}.json", part / "state.json")
    lines = (old / "log.jsonl").read_text().splitlines(keepends=True)
    (part / "log.jsonl").write_text("".join(line for line in lines if '-0"' in line))
    checkpoint.write_text(part / "config.yaml", dump(target))
    os.replace(part, new)


def _copy(source: Path, target: Path) -> None:
    copy = shutil.copytree if source.is_dir() else shutil.copy2
    try:
        linked = {"copy_function": os.link} if source.is_dir() else {}
        copy(source, target, **linked) if source.is_dir() else os.link(source, target)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        copy(source, target)


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
        _copy(_bank_of(lender), folder_of(config) / "cycles/0/advantaged")
        return f"{best[1].name} up to {best[2]}, with the selection of {lender.name}"
    return f"{best[1].name} up to {best[2]}"


def _bank_of(config: Config) -> Path:
    return folder_of(config) / "cycles/0/bank"


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
    if report.is_file() and (found := checkpoint.read_json(report))["list"] == list_name:
        return found
    with only_one(folder_of(config)):
        return _run(plan, arm, seed, config)


def _run(plan: Plan, arm: str, seed: int, config: Config) -> dict:
    list_name = plan.experiment.report_list or config.data.val_list
    others = [plan.config(other, seed) for other in plan.arms if other != arm]
    if started := begin(config, others):
        print(f"{arm}, seed {seed}: starts from {started}", flush=True)
    setup, _ = prepare(config, resume=True)
    Run(setup).train()
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
        for bank in folder_of(config).glob("cycles/*/bank"):
            if bank.parent.name != "0" or not wanted:
                shutil.rmtree(bank)
