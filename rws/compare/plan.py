"""An experiment's YAML file -> the configuration of every arm and seed."""

import difflib
import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

from rws.cli import SWITCHES, flatten, parse
from rws.config import OPTIONS, Config
from rws.config.forms import shown
from rws.config.recipes import RECIPE
from rws.errors import UserError
from rws.runtime.text_yaml import read_tree
from rws.share import known_configs, shipped

# What a comparison itself sets for each of its runs, and what makes the arm `plain` plain.
_OURS = (*SWITCHES, RECIPE, *(key for key, option in OPTIONS.items() if option.metadata["by_comparison"]))
PLAIN = {
    key: option.metadata["in_plain"]
    for key, option in OPTIONS.items()
    if option.metadata["in_plain"] is not None
}


@dataclass(frozen=True)
class Experiment:
    """What a file in experiments/ says.

    Args:
        name: of the results' folder and of the runs' folder.
        base: configuration of a run: the name of one that comes with the code, or a path from here.
        settings: what differs from it in all arms, by dotted key.
        seeds: one run of every arm each.
        report_list: list that is evaluated once at the end of each arm; null takes the validation list.
        arms: what differs from the settings in each arm; `plain` differs in what makes it plain.
    """

    name: str
    base: str
    settings: dict[str, object]
    seeds: list[int]
    arms: dict[str, dict[str, object]]
    report_list: str | None = None


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment, a file or a name; `like` names another of which it holds only what differs.

    Raises: UserError for a missing file, broken YAML, an unknown key or a missing one.
    """
    path = _find(path, Path())
    tree = _tree(path)
    if missing := [f.name for f in fields(Experiment) if f.name not in tree and f.name != "report_list"]:
        raise UserError(f"{path}: {missing[0]} is missing")
    if not isinstance(tree["arms"], dict) or not tree["arms"]:
        raise UserError(f"{path}: arms must name at least one arm, such as `plain: {{}}`")
    arms = {str(arm): _settings(own, f"{path}: the arm {arm}") for arm, own in tree["arms"].items()}
    if arms.get("plain"):
        raise UserError(
            f"{path}: the arm plain is trained without slices and takes no settings; rename yours"
        )
    return Experiment(**{**tree, "arms": arms, "seeds": _seeds(tree["seeds"], path)})


def _settings(tree: object, where: str) -> dict[str, object]:
    """Settings by dotted key. Raises: UserError for anything else than keys and values, or nothing."""
    if not isinstance(tree, dict | None):
        raise UserError(f"{where}: {shown(tree)} given, needed are keys and values, as {{train.lr: 0.01}}")
    return flatten(tree or {})


def _seeds(found: object, path: str | Path) -> list[int]:
    numbers = found if isinstance(found, list) else []
    if not numbers or not all(isinstance(n, str) and re.fullmatch("[0-9]{1,18}", n) for n in numbers):
        raise UserError(f"{path}: seeds {shown(found)} must be whole numbers from 0 on, as [0, 1, 2]")
    return [int(number) for number in numbers]


def _tree(path: Path, seen: tuple[Path, ...] = ()) -> dict:
    """The file with the one it is like; a `base` that is no name becomes a path from here."""
    if path.resolve() in seen:
        raise UserError(f"{path}: is like itself; remove one `like:`")
    tree = read_tree(path)
    known = [*(f.name for f in fields(Experiment)), "like"]
    for key in tree:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise UserError(f"{path}: unknown key {key!r}; the nearest known one is {near!r}")
    for key in ("name", "base", "like", "report_list"):
        if not isinstance(tree.get(key, ""), str) and (key, tree[key]) != ("report_list", None):
            raise UserError(f"{path}: {key} {shown(tree[key])} must be a text")
    if "base" in tree and tree["base"] not in known_configs():
        tree["base"] = os.path.normpath(path.parent / tree["base"])
    like = tree.pop("like", None)
    parent = _tree(_find(like, path.parent), (*seen, path.resolve())) if like else {"settings": {}}
    own = _settings(tree.get("settings"), f"{path}: settings")
    return {**parent, **tree, "settings": {**parent["settings"], **own}}


def _find(given: str | Path, folder: Path) -> Path:
    """The file of an experiment: a path from `folder`, or a name of one there or in experiments/.

    Raises: UserError for neither, with the nearest name.
    """
    plans = shipped("experiments")
    for path in (folder / given, folder / f"{given}.yaml", plans / f"{given}.yaml"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in plans.glob("*.yaml"))
    near = difflib.get_close_matches(Path(given).stem, known, n=1, cutoff=0.0)
    advice = f"the nearest known one is {near[0]}; there are: {', '.join(known)}" if near else "give its file"
    raise UserError(f"{folder / given}: no such experiment; {advice}")


@dataclass(frozen=True)
class Plan:
    """An experiment with the flags of its command line: every arm's configuration."""

    experiment: Experiment
    arms: dict[str, Config]
    seeds: list[int]

    def config(self, arm: str, seed: int) -> Config:
        """The configuration of one run, in runs/<experiment>/<seed>/<arm>."""
        config = self.arms[arm]
        runs = Path(config.runs) / self.experiment.name / str(seed)
        return replace(config, name=arm, runs=str(runs), seed=seed)


def make_plan(
    experiment: Experiment,
    flags: list[str],
    seeds: list[int] | None = None,
    arms: list[str] | None = None,
    *,
    equal_budget: bool = True,
) -> Plan:
    """The configurations of the arms: flags over arm over settings over base.

    Raises: UserError for unknown arms, a wrong value, a flag on what an arm is about or the comparison itself
        decides, and a budget that cannot be equal.
    """
    chosen = {arm: _own(arm, experiment) for arm in arms or experiment.arms}
    _check_flags(flags, chosen)
    configs = {}
    for arm, own in chosen.items():
        over = {**experiment.settings, **own, "cycles.plain": False}
        where = f"experiment {experiment.name}, arm {arm}"
        configs[arm] = parse(["--config", experiment.base, *flags], over, where).config
        if equal_budget:
            _check_budget(configs[arm], where)
    seeds = list(dict.fromkeys(experiment.seeds if seeds is None else seeds))
    if min(seeds) < 0:
        raise UserError(f"command line: seeds {shown(seeds)} must be whole numbers from 0 on")
    return Plan(experiment, configs, seeds)


def _own(arm: str, experiment: Experiment) -> dict[str, object]:
    if arm not in experiment.arms:
        raise UserError(f"no arm {arm!r}: the arms of {experiment.name} are {', '.join(experiment.arms)}")
    return PLAIN if arm == "plain" else experiment.arms[arm]


def _check_flags(flags: list[str], arms: dict[str, dict]) -> None:
    for flag in flags:
        key = flag[2:].partition("=")[0].replace("-", "_") if flag.startswith("--") else ""
        if key in _OURS:
            raise UserError(f"command line: --{key} is set by the comparison; see --seeds, --arms and --out")
        if about := [arm for arm, own in arms.items() if key in own]:
            raise UserError(
                f"command line: {key} is what the arm {about[0]} is about; choose --arms without it"
            )


def _check_budget(config: Config, where: str) -> None:
    """Arms are comparable when each sees as many images, wherever it would stop by itself."""
    if config.cycles.budget != "within":
        raise UserError(f"{where}: cycles.budget must be within, so that all arms see as many images")
    if config.cycles.delta != 0:
        raise UserError(f"{where}: cycles.delta must be 0, so that no arm stops before the others")
