"""`rws.train`: a run of RWS by its configuration, from Python."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rws.api.load import load
from rws.api.network import Network
from rws.cli import SWITCHES, flatten, parse
from rws.commands.train import train as run
from rws.cycle.artifacts import Artifacts
from rws.errors import UserError

CALLED = "rws.train"
HOW = ("resume", "resume_with_changes", "overwrite")  # of SWITCHES those that a training has


@dataclass(frozen=True)
class FinishedRun:
    """A run that has come to its end.

    folder: with checkpoints, log, configuration and report.html. summary: what summary.json says: the scores
    of each cycle and of the plain network, and why the run stopped.
    """

    folder: Path
    summary: dict = field(repr=False)
    _network: str = field(repr=False)

    @property
    def checkpoint(self) -> Path:
        """The network with the best score on the validation list, else the last one."""
        left = Artifacts(self.folder)
        return left.best if left.best.is_file() else left.last

    def load(self, **options: object) -> Network:
        """The network of `checkpoint`, ready for photographs; options as for `rws.load`."""
        return load(self.checkpoint, **{"trusted": (self._network,), **options})


def train(config: str | Path | Mapping[str, object] = "demo", **options: object) -> FinishedRun:
    """Train as `rws train` does, and return the finished run.

    rws.train("demo", name="first", train={"epochs": 2}) is `rws train --config demo --name first
    --train.epochs 2`.

    Args:
        config: the name of a configuration, a YAML file, or options by their dotted names over the defaults.
        options: what wins over it: options by name, those of a group as a dictionary, or by dotted names as
            **{"train.epochs": 2}; and resume=True, resume_with_changes=True or overwrite=True.

    Raises: UserError for a wrong option and for whatever is wrong with data, network or folder, in one line.
    """
    if unknown := [name for name in set(SWITCHES) - set(HOW) if name in options]:
        raise UserError(f"{CALLED}: {unknown[0]}: is a command of its own, no option of a training")
    flags = [f"--{name.replace('_', '-')}" for name in HOW if options.pop(name, False)]
    base, file = ({}, str(config)) if isinstance(config, str | Path) else (_flat(config), None)
    command = parse(flags, {**base, **_flat(options)}, CALLED, file)
    run(command)
    folder = Path(command.config.runs) / command.config.name
    summary = json.loads(Artifacts(folder).summary.read_text(encoding="utf-8"))
    return FinishedRun(folder, summary, command.config.model.name)


def _flat(options: Mapping[str, object]) -> dict[str, object]:
    """Options by their dotted names, paths as text."""
    flat = flatten(dict(options))
    return {name: str(value) if isinstance(value, Path) else value for name, value in flat.items()}
