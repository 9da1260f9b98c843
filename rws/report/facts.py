"""What a run's folder says in numbers, arranged for the page."""

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import yaml

from rws.cli import dump, flatten
from rws.config import Config
from rws.config.method import CycleConfig
from rws.config.retired import as_it_was, without_flags
from rws.cycle.artifacts import Artifacts
from rws.errors import UserError
from rws.runs import checkpoint
from rws.runs.begun import Begun
from rws.runs.identity import stored_configuration
from rws.runs.record import INSIDE, CycleRecord, RunState
from rws.runs.summary import OfRounds, summarise


@dataclass(frozen=True)
class Facts:
    """A finished run. cycles: the records of RWS, rounds: those of SC-CAM; a run has one of them."""

    folder: Path
    summary: dict
    config: dict
    environment: dict
    cycles: tuple[CycleRecord, ...]
    rounds: list[dict]

    @property
    def plain_arm(self) -> bool:
        """Whether a plain network was trained beside."""
        return bool(self.cycles) and all(c.plain for c in self.cycles)

    @property
    def delta(self) -> int:
        """The change of the number of weak slices below which the run stopped; 0 where none stops it."""
        config = as_it_was(self.config) | self.config
        cycles = CycleConfig(start=config.get("cycles.start"), anneal=config.get("cycles.anneal"))
        return 0 if cycles.annealed_once else config["cycles.delta"]

    @property
    def trained(self) -> str:
        """What the last network is, in words; "RWS" alone is looking again, which trains nothing."""
        if len(self.cycles) == 1:  # both arms are the first training
            return "network"
        usual = {"enabled": True, "mode": "published", "positions": "advantaged"}
        published = all(self.config.get(f"fusion.{key}", value) == value for key, value in usual.items())
        return "published fusion" if published else "RWS in training"


def read_facts(folder: Path) -> Facts:
    """Read a finished run.

    Raises: UserError for a folder without a finished run, DamagedFile.
    """
    for name in ("config.yaml", "summary.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: not there; give the folder of a finished run, runs/<name>")
    config = without_flags(flatten(stored_configuration(folder / "config.yaml")))
    state = Artifacts(folder).read_state()
    summary = _summary(folder, config, state)
    environment = folder / "env.json"
    return Facts(
        folder,
        summary,
        config,
        checkpoint.read_json(environment) if environment.is_file() else {},
        state.cycles,
        summary.get("rounds", []),
    )


def _summary(folder: Path, config: dict, state: RunState) -> dict:
    """The run in numbers; of RWS from its state, which has a checksum.

    Raises: UserError for a run that has not ended.
    """
    if not state.cycles:
        return checkpoint.read_json(folder / "summary.json", OfRounds)
    if state.stopped is None:
        raise UserError(f"{folder}: this run has not ended; let `rws train --resume` finish it")
    begun = Artifacts(folder).begun
    changes = checkpoint.read_json(begun, Begun)["changes"] if begun.is_file() else []
    return summarise(config["name"], config["seed"], state.stopped, state.cycles) | {"changes": changes}


def settings(facts: Facts) -> list[dict]:
    """Every option of the run, and whether it differs from the default."""
    defaults = flatten(yaml.safe_load(dump(Config())))
    return [
        {"key": key, "value": value, "changed": value != defaults.get(key)}
        for key, value in facts.config.items()
    ]


def _plain_name(facts: Facts) -> str:
    return "plain, as many images" if facts.plain_arm else "first training alone"


def arms(facts: Facts) -> list[dict]:
    """A row for each arm: its scores, and what they took."""
    seconds = [c.seconds for c in facts.cycles]
    plain_steps = ("plain",) if facts.plain_arm else ()
    first = seconds[0].get("whole", 0.0)
    spent = {
        "plain": first + sum(s.get(step, 0.0) for s in seconds for step in plain_steps),
        "rws": sum(s.get(step, 0.0) for s in seconds for step in ("whole", "score", "slices", "select")),
    }
    names = {"plain": _plain_name(facts), "rws": facts.trained}
    if len(facts.cycles) == 1:
        del names["plain"]
    return [
        {
            "key": key,
            "name": names[key],
            "miou": facts.summary[key]["miou"],
            "best": facts.summary[key]["best"],
            "images": facts.summary[key]["images"],
            "seconds": spent[key],
        }
        for key in names
    ]


def _points(histories: list[list[dict]], starts: list[int], batch: int) -> list[dict]:
    """The evaluations of an arm, each with the images that it had been trained on by then."""
    return [
        {"cycle": k, "epoch": r["epoch"], "images": start + r["step"] * batch, "miou": r["miou"]}
        for k, (history, start) in enumerate(zip(histories, starts))
        for r in history
        if "miou" in r
    ]


def courses(facts: Facts) -> tuple[list[dict], list[dict]]:
    """The evaluations of RWS and of the plain arm, which is empty without one."""
    cycles, batch = facts.cycles, facts.config["train.batch_size"]
    # A training on whole images begins after the slices of the cycle before.
    rws = _points([c.whole for c in cycles], [0, *accumulate(c.images_seen for c in cycles)], batch)
    if not facts.plain_arm:
        return rws, []
    starts = [0, *accumulate(c.plain_images for c in cycles)]
    return rws, _points([c.plain for c in cycles], starts, batch)


def epochs(facts: Facts) -> list[dict]:
    """For each evaluated epoch of RWS the evaluation of plain after the nearest number of images."""
    rws, plain = courses(facts)
    rows = []
    for point in rws:
        near = min(plain, key=lambda p: (abs(p["images"] - point["images"]), p["images"]), default=None)
        gain = None if near is None else point["miou"] - near["miou"]
        rows.append({"rws": point, "plain": near, "gain": gain})
    return rows


def weak_slices(facts: Facts) -> list[dict]:
    """The scored cycles."""
    rows, before = [], None
    for c in facts.cycles:
        if c.weak_slices is None:
            continue
        rows.append(
            {
                "cycle": c.cycle,
                "weak": c.weak_slices,
                "windows": c.windows,
                "kept": c.kept_slices,
                "change": None if before is None else c.weak_slices - before,
                "fused": c.mean_fused_share,
                "seconds": sum(v for k, v in c.seconds.items() if k not in INSIDE),
            }
        )
        before = c.weak_slices
    return rows


def _of_class(name: str, before: dict, after: dict) -> dict:
    old, new = before.get(name), after.get(name)
    gain = None if old is None or new is None else new - old
    return {"name": name, "before": old, "after": new, "gain": gain}


def classes(facts: Facts) -> tuple[str, str, list[dict]]:
    """Per-class IoU before and after, by name of the two columns; None for a class that does not occur."""
    if facts.rounds:
        last = facts.rounds[-1]
        names = "round 0", f"round {last['round']}"
        before, after = facts.rounds[0]["val"]["iou"], last["val"]["iou"]
    else:
        names = "plain" if facts.plain_arm else "first training", facts.trained
        before, after = facts.summary["plain"]["iou"], facts.summary["rws"]["iou"]
    return *names, [_of_class(name, before, after) for name in after]
