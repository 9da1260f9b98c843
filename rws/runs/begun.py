"""What a run was begun with, in digests: its lists, images, labels and network; so a resumed run is held
against it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from torch import nn

from rws.data import Split
from rws.data.digests import differences, split_digests
from rws.errors import DamagedFile, UserError
from rws.models.source import source_digests
from rws.runs import checkpoint
from rws.runtime.bars import say

NAME = "begun.json"
INSIST = "--resume-with-changes"


@dataclass(frozen=True)
class Begun:
    """Digests of what a run works with, and what has been changed since it was begun.

    train, val: by id, in the order of the list. classes: of their names, numbers and colours. source: of the
    modules of a user's own network, by name. weights: of the initial network's. pipeline: of the file of
    data.albumentations.
    changes: in words, one for each time that a person insisted on going on.
    photographs: as train, of those without labels; empty where there are none, or were none so far.
    """

    train: dict[str, str]
    val: dict[str, str]
    classes: str
    source: dict[str, str]
    weights: str
    changes: tuple[str, ...] = ()
    pipeline: str = ""
    photographs: dict[str, str] = field(default_factory=dict)

    def differences(self, now: "Begun") -> list[str]:
        """What is not as it was, in words."""
        lists = {"train": (self.train, now.train), "val": (self.val, now.val)}
        if self.photographs:
            lists["photographs"] = (self.photographs, now.photographs)
        said = [f"{name}: {each}" for name, pair in lists.items() for each in differences(*pair)]
        if self.classes != now.classes:
            said.append("other classes")
        if self.pipeline != now.pipeline:
            said.append("another pipeline of data.albumentations")
        modules = [m for m in {**self.source, **now.source} if self.source.get(m) != now.source.get(m)]
        if modules:
            said.append(f"another source of the network: {', '.join(modules)}")
        elif self.weights != now.weights:
            said.append("other initial weights: of another file, or drawn by another version of a library")
        return said


def begun_with(
    splits: Sequence[Split | None], network: nn.Module, model_name: str, pipeline: str | None = None
) -> Begun:
    """The digests of what a command would begin a run with.

    splits: train, val, and photographs or None. pipeline: the file of data.albumentations.
    """
    train, val, photographs = splits
    # In the colours of the label files: those in which labels are shown may be others in a later version.
    described = replace(train.classes, palette=train.classes.colours_in_files)
    classes = hashlib.sha256(json.dumps(asdict(described)).encode()).hexdigest()
    weights = checkpoint.digest_of(network.state_dict())
    source = source_digests(model_name.partition(":")[0]) if ":" in model_name else {}
    drawn_by = hashlib.sha256(Path(pipeline).read_bytes()).hexdigest() if pipeline else ""
    digests = (split_digests(train), split_digests(val), classes, source, weights)
    of_photographs = {} if photographs is None else split_digests(photographs)
    return Begun(*digests, pipeline=drawn_by, photographs=of_photographs)


def agreed(
    path: Path, now: Begun, *, place: str, more: Sequence[str] = (), with_changes: bool = False
) -> Begun:
    """What a run that goes on works with: `now`, with the changes that a person insists on.

    path: of what it was begun with; without it changes go unnoticed, with a warning. place: where the run
    goes on. more: changes that are known already.

    Raises: UserError where anything differs and nobody insists.
    """
    before, found = _before(path, now)
    found = [*more, *found]
    if found and not with_changes:
        raise UserError(
            f"{path.parent}: was begun with something else: {'; '.join(found)}; put it back, start a new "
            f"--name, or go on all the same with {INSIST}"
        )
    said = [f"{place}: {'; '.join(found)}"] if found else []
    for each in said:
        say(f"warning: the run goes on with changes from here on, {each}")
    return replace(now, changes=(*before.changes, *said))


def _before(path: Path, now: Begun) -> tuple[Begun, list[str]]:
    """What a run was begun with, and how it differs from `now`."""
    if not path.is_file():
        say(
            f"warning: {path}: missing, as in runs of older versions; whether data and code are still those "
            "that the run was begun with cannot be told"
        )
        return now, []
    try:
        before = Begun(**checkpoint.read_json(path, Begun))
    except DamagedFile as error:
        return now, [f"what it was is not known, {str(error).partition(';')[0]}"]
    return before, before.differences(now)
